"""A worker process with everything that it started: find it, measure it, end it.

A process that calls ``setsid``, as a daemon does, leaves the session of its worker, and an orphan
loses its parent. Both keep the environment that they were started with, so each worker carries a
mark in its environment, by which its descendants are found.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

__all__ = ["MARK_VARIABLE", "anonymous_bytes", "end_tree", "proportional_bytes", "tree_of"]

MARK_VARIABLE: Final = "QTFORGE_WORKER"
_PROC: Final = Path("/proc")
_MAX_ROUNDS: Final = 10  # a process may start another one while the tree is being ended
_FIRST_WAIT_S: Final = 0.001  # until a killed process has ended; twice as long in each round


def end_tree(leader: int, mark: str, *, spare: int = 0) -> None:
    """Kill a worker process and everything that it started, and wait up to a second for the end.

    Args:
        leader: The worker's process id, which is also that of its session and group.
        mark: The value of `MARK_VARIABLE` in its environment.
        spare: A process that is left alone: the caller, when it is the worker.
    """
    if not spare:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, signal.SIGKILL)
    for number in range(_MAX_ROUNDS):
        found = _marked(leader, mark) - {spare, os.getpid()}
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_FIRST_WAIT_S * 2**number)


def tree_of(pid: int) -> list[int]:
    """Return a process and its living descendants; orphans are not among them."""
    found = [pid]
    for each in found:
        for children in _PROC.glob(f"{each}/task/*/children"):
            with contextlib.suppress(OSError):
                found += map(int, children.read_bytes().split())
    return found


def anonymous_bytes(pids: Iterable[int]) -> int:
    """Return the resident memory of processes that no file backs; cheap to read.

    Pages that a fork shares with its parent count in each of them: see `proportional_bytes`.
    """
    pages = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError):
            _, resident, shared, *_ = (_PROC / str(pid) / "statm").read_bytes().split()
            pages += int(resident) - int(shared)
    return pages * os.sysconf("SC_PAGE_SIZE")


def proportional_bytes(pids: Iterable[int]) -> int:
    """Return the anonymous memory of processes, in which a shared page counts once.

    It reads every page table, which takes milliseconds for each GiB.
    """
    size = 0
    for pid in pids:
        try:
            lines = (_PROC / str(pid) / "smaps_rollup").read_bytes().splitlines()
            values = dict(line.split(b":", 1) for line in lines[1:])
            size += int(values[b"Pss_Anon"].split()[0]) * 1024
        except (OSError, ValueError, KeyError):  # it has ended, or the kernel is an old one
            size += anonymous_bytes([pid])
    return size


def _marked(leader: int, mark: str) -> set[int]:
    """Return living processes of the worker's session, with its mark, or below one of them."""
    wanted = f"{MARK_VARIABLE}={mark}".encode()
    children: dict[int, list[int]] = {}
    found: list[int] = []
    for folder in _PROC.glob("[0-9]*"):
        pid = int(folder.name)
        try:
            # The command's name, in parentheses, may hold spaces and parentheses.
            state, parent, group, session, *_ = (
                (folder / "stat").read_bytes().rpartition(b")")[2].split()
            )
            if state in b"ZX":
                continue
            children.setdefault(int(parent), []).append(pid)
            in_session = leader in (int(group), int(session))
            if in_session or wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(pid)
        except (OSError, ValueError):  # it has ended, or is another user's
            continue
    for pid in found:
        found += [child for child in children.get(pid, []) if child not in found]
    return set(found)
