"""The process of `serve` and `worker`, until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import functools
import itertools
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from starlette.types import ASGIApp

from qtforge_host.code_marks import CodeMarks
from qtforge_host.config.settings import Settings
from qtforge_host.crash_report import CrashReport, find_culprit
from qtforge_host.plugins.candidates import Candidate
from qtforge_host.plugins.declarations import source_folder
from qtforge_host.plugins.quarantine import FailureMemory
from qtforge_host.plugins.resolution import resolve_installed
from qtforge_host.schedules.schedule import read_schedules
from qtforge_host.serving.errors import WorkerNameTakenError
from qtforge_host.serving.http.application import Application, Current
from qtforge_host.serving.http.auth import Gate, RateGate
from qtforge_host.serving.http.connections import Connections, connection_limit
from qtforge_host.serving.http.log_limit import LogLimit
from qtforge_host.serving.http.published import published
from qtforge_host.serving.http.server import HttpServer, listen
from qtforge_host.serving.metrics import RunCounts
from qtforge_host.serving.options import ServeOptions
from qtforge_host.serving.restarts import Configuration, Restarts, Served, signals
from qtforge_host.serving.service import Service
from qtforge_host.serving.state_files import ServeFolder
from qtforge_host.serving.successor import Successor
from qtforge_host.serving.tokens import TokenChecker
from qtforge_sdk.files import write_atomically

__all__ = ["serve"]

_LOG: Final = logging.getLogger("qtforge.serve")
_LASTED_S: Final = 300.0  # a process that lasts so long is not ended again and again


async def serve(
    read_settings: Callable[[], Settings],
    options: ServeOptions,
    say: Callable[[str], None],
    before: Successor | None = None,
) -> Successor | None:
    """Serve until SIGTERM or SIGINT.

    Args:
        read_settings: Reads the configuration, as it is now.
        options: How to serve.
        say: Called with where it listens, and when it starts and stops.
        before: What the process that this one replaces has handed over; None for none.

    Returns:
        What the process that replaces this one needs; None when it is to end.

    Raises:
        AlreadyServingError: Another process serves the state directory.
        WorkerNameTakenError: Another worker of the state directory has the name.
        CannotListenError: The address can't be listened on.
        ConfigError: The configuration is not valid.
        StateDirectoryError: The state directory can't be used.
        TooFewDescriptorsError: The process may not open as many files as connections need.
    """

    def read() -> Configuration:
        settings = read_settings()
        return settings, read_schedules(settings)

    settings, _ = first = read()
    successor: Successor | None = None
    with _locked(options, settings, before) as (folder, lock):
        current, counts = Current(), RunCounts()
        async with contextlib.AsyncExitStack() as stack:
            marks = stack.enter_context(_marks(folder, settings))
            stop = stack.enter_context(signals(options.grace_s))
            listening: socket.socket | None = None
            if options.http:
                listening = _listening(options, before)
                address = await stack.enter_async_context(
                    _http(options, folder, current, listening)
                )

            @contextlib.asynccontextmanager
            async def serving(configuration: Configuration) -> AsyncIterator[Service]:
                settings, schedules = configuration
                async with Service(settings, options, schedules, counts, marks) as service:
                    current.service = service
                    try:
                        yield service
                    finally:  # requests are no longer answered when it stops
                        current.service = None

            def ready(_: Served) -> None:
                if options.http:
                    say(f"listening on {address}")
                    say(f"the token is in {folder.token_path}")
                what = "serving" if options.role == "serve" else "taking runs"
                say(f"{what}; end it with SIGTERM or Ctrl-C")

            restarts = Restarts(read, stop, reexec=options.reexec)
            if await restarts.serve(first, serving, ready):
                successor = Successor.of(lock, listening, folder.worker)
    say("ended" if successor is None else "executing itself again")
    return successor


@contextlib.contextmanager
def _locked(
    options: ServeOptions, settings: Settings, before: Successor | None
) -> Iterator[tuple[ServeFolder, int]]:
    """Give the folder of this process, and the descriptor that holds its lock.

    A worker without a name gets the first folder that no other one uses.
    """
    state_dir = settings.state_dir
    with contextlib.ExitStack() as stack:
        if options.role == "serve" or options.node or before is not None:
            name = "" if options.role == "serve" else options.node
            folder = ServeFolder(state_dir, name if before is None else before.worker)
            lock = stack.enter_context(folder.lock(None if before is None else before.lock))
        else:
            for number in itertools.count(1):
                folder = ServeFolder(state_dir, f"{number}")
                with contextlib.suppress(WorkerNameTakenError):
                    lock = stack.enter_context(folder.lock())
                    break
        yield folder, lock


def _listening(options: ServeOptions, before: Successor | None) -> socket.socket:
    if before is None or before.listening is None:
        return listen(options.host, options.port)
    return socket.socket(fileno=before.listening)


@contextlib.contextmanager
def _marks(folder: ServeFolder, settings: Settings) -> Iterator[CodeMarks]:
    """Record which plugin code is executing, and count the death of the process before, if it died.

    A plugin in whose code several processes in a row have ended is quarantined, so that `serve`
    is not ended by it again and again.
    """
    marks, report = CodeMarks(folder.marks_path), CrashReport(folder.crash_path)
    memory = FailureMemory(settings.state_dir)
    if report.before is not None or marks.deaths:
        died = _died(marks, report, resolve_installed(settings).resolution.candidates)
        for candidate, place in died:
            _LOG.warning(
                "the process before has ended in the code of %s %s%s",
                candidate.name, candidate.version, f" ({place})" if place else "",
            )  # fmt: skip
        memory.add_deaths(died)
    report.open()
    forget = functools.partial(memory.forget_deaths, settings.quarantine_after)
    lasted = asyncio.get_running_loop().call_later(_LASTED_S, forget)
    try:
        yield marks
    finally:
        lasted.cancel()
        report.close()
        marks.close()
        forget()


def _died(
    marks: CodeMarks, report: CrashReport, candidates: Iterable[Candidate]
) -> list[tuple[Candidate, str]]:
    """Return the plugins in whose code the process before has ended, each with the place.

    What a plugin did by itself is known to have ended it, whatever else was in progress.
    """
    found = {each.name: each for each in candidates if not each.builtin}
    if report.before is not None:
        folders = {name: source_folder(each) for name, each in found.items()}

        def owner_of(file: Path) -> str | None:
            owners = [
                name for name, folder in folders.items() if folder and file.is_relative_to(folder)
            ]
            return owners[0] if owners else None

        culprit = find_culprit(report.before, owner_of)
        if culprit is not None:
            return [(found[culprit[0]], culprit[1])]
    return [(found[name], place) for name, place in marks.deaths if name in found]


@contextlib.asynccontextmanager
async def _http(
    options: ServeOptions, folder: ServeFolder, current: Current, listening: socket.socket
) -> AsyncIterator[str]:
    folder.make_token()
    tokens = TokenChecker(folder.state_dir)
    gate = Gate(
        tokens,
        options.allowed_hosts,
        RateGate(options.rate),
        options.public_url,
        options.proxies,
    )

    since = datetime.datetime.now(datetime.UTC)

    def pages() -> ASGIApp:
        # Imported with Jinja when somebody looks: many hosts are never looked at.
        from qtforge_host.serving.web.site import Site

        return Site(current, gate, folder, tokens, options, since)

    application = published(
        Application(current, gate, options.max_body_bytes, options.max_requests, pages),
        options.root_path,
    )
    connections = Connections(
        connection_limit(options.max_connections),
        head_s=options.head_timeout_s,
        idle_s=options.idle_timeout_s,
    )
    host, port = listening.getsockname()[:2]
    log_limit = LogLimit(options.log_rate)
    async with HttpServer(application, listening, connections, log_limit, options.idle_timeout_s):
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        write_atomically(folder.address_path, f"{url}{options.root_path}\n".encode())
        try:
            yield url
        finally:
            folder.address_path.unlink(missing_ok=True)
