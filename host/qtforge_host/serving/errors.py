"""Errors of serving.

::

    QtForgeError
    ├── ServeError
    │   ├── CannotListenError       serve.cannot_listen
    │   ├── NotStartedError         serve.not_started
    │   └── TooFewDescriptorsError  serve.too_few_descriptors
    ├── RefusedError             http.*: a request that was refused
    └── StateDirectoryError
        ├── AlreadyServingError   serve.already_running
        └── WorkerNameTakenError  worker.name_taken
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from qtforge_sdk.errors import QtForgeError, StateDirectoryError

__all__ = [
    "AlreadyServingError",
    "CannotListenError",
    "NotStartedError",
    "RefusedError",
    "ServeError",
    "TooFewDescriptorsError",
    "WorkerNameTakenError",
]


class ServeError(QtForgeError):
    """The host can't be served."""


class CannotListenError(ServeError):
    """The address can't be listened on.

    Args:
        address: Host and port.
        why: What the operating system says.
    """

    code = "serve.cannot_listen"

    def __init__(self, address: str, why: str, /) -> None:
        super().__init__(
            f"{address} can't be listened on", why, "choose another with --host and --port"
        )
        self.address = address


class TooFewDescriptorsError(ServeError):
    """The process may not open as many files as its connections need.

    Args:
        limit: How many it may open.
        connections: How many connections were wanted, or are the least.
        needed: How many files it must be allowed to open for them.
    """

    code = "serve.too_few_descriptors"

    def __init__(self, limit: int, connections: int, needed: int, /) -> None:
        super().__init__(
            f"{connections} connections can't be served",
            f"the process may open {limit} files, and needs {needed - connections} for itself",
            f"allow more with 'ulimit -n {needed}', or give a smaller --max-connections",
        )
        self.limit = limit
        self.connections = connections
        self.needed = needed


class NotStartedError(ServeError):
    """``serve`` does not answer over HTTP, so that there is no page to open.

    Args:
        what: What is wrong, in one line.
        why: What it has said.
        fix: How to fix it.
    """

    code = "serve.not_started"

    def __init__(self, what: str, why: str, fix: str, /) -> None:
        super().__init__(what, why, fix)


class AlreadyServingError(StateDirectoryError):
    """Another process serves the state directory.

    Args:
        path: The state directory.
        pid: That process's number; "" where it is not known, or has ended.
    """

    code = "serve.already_running"

    def __init__(self, path: str, pid: str, /) -> None:
        lock = f"{path}/serve/process.lock"
        super().__init__(
            path,
            f"the process {pid} serves it already" if pid else f"another process has locked {lock}",
            f"end it with 'kill {pid}', or give another --state-dir"
            if pid
            else f"'fuser {lock}' finds it: end it, or give another --state-dir",
        )
        self.pid = pid


class WorkerNameTakenError(StateDirectoryError):
    """Another worker of the state directory has the name.

    Args:
        name: The name.
        path: The state directory.
        pid: That worker's number; "" where it is not known, or has ended.
    """

    code = "worker.name_taken"

    def __init__(self, name: str, path: str, pid: str, /) -> None:
        super().__init__(
            path,
            f"the worker '{name}' is there already{f' (process {pid})' if pid else ''}",
            "give another --node, or none, or another --state-dir",
        )
        self.name = name
        self.pid = pid


class RefusedError(QtForgeError):
    """A request over HTTP that is answered with an error.

    Args:
        http_status: The HTTP status.
        code: ``http.<what is wrong>``. Stable.
        what: What is wrong, in one line.
        why: The cause.
        fix: What the client can do about it.
        headers: Of the answer.
    """

    def __init__(
        self,
        http_status: int,
        code: str,
        what: str,
        why: str = "",
        fix: str = "",
        headers: Mapping[str, str] = MappingProxyType({}),
        /,
    ) -> None:
        super().__init__(what, why, fix)
        self.http_status = http_status
        self.code = code
        self.headers = dict(headers)
