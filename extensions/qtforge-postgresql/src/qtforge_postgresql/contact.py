"""`Contact`: since when this process has been in touch with the server without a break."""

from __future__ import annotations

import time

__all__ = ["Contact"]


class Contact:
    """When the server answered last, and since when it has without a long break.

    A process that was cut off, or frozen, waits for one lease before it takes the runs of others:
    after an outage of the server, all leases have ended, and their owners are as alive as it is.
    Methods may be called from any thread.

    Args:
        lease_s: The length of a lease, in seconds.
    """

    def __init__(self, lease_s: float) -> None:
        self._lease_s = lease_s
        self._last = time.monotonic()
        self._since = self._last - lease_s  # one that has just started has missed nothing

    @property
    def silent_s(self) -> float:
        """For how long the server has not been heard of, in seconds."""
        return time.monotonic() - self._last

    @property
    def may_take_over(self) -> bool:
        """Whether this process may take the runs of one whose lease has ended."""
        now = time.monotonic()
        return now - self._last < self._lease_s and now - self._since >= self._lease_s

    def note(self) -> None:
        """The server has answered."""
        now = time.monotonic()
        if now - self._last > self._lease_s:
            self._since = now
        self._last = now
