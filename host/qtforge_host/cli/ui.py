"""``qtforge-host ui``: open the pages in the browser, logged in."""

from __future__ import annotations

import datetime
import subprocess
import sys
import time
import webbrowser
from collections.abc import Sequence
from typing import Final

import click

from qtforge_host.api.extras import SERVING, check_installed
from qtforge_host.cli.session import Session, bus_option, journal_option
from qtforge_host.cli.terminal import echo
from qtforge_host.serving.errors import NotStartedError
from qtforge_host.serving.login_codes import login_code
from qtforge_host.serving.state_files import ServeFolder
from qtforge_sdk.files import private_file, private_folder

__all__ = ["ui"]

_START_S: Final = 60.0
_POLL_S: Final = 0.05
_LAST_LINES: Final = 5
_ANY_ADDRESS: Final = ("://0.0.0.0:", "://[::]:")


@click.command()
@click.option("--no-open", is_flag=True, help="Only print the link.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8321, show_default=True,
    help="The port of a serve that is started; 0 for any that is free.",
)  # fmt: skip
@journal_option
@bus_option
@click.pass_obj
def ui(session: Session, no_open: bool, port: int) -> None:
    """Open the host in the browser, logged in.

    Where 'serve' does not run yet, it is started; it stays when this command ends, and its log
    is serve/log in the state directory. The link logs in once, within five minutes. Other people
    log in with a token of 'tokens create --name NAME'.

    Exit code 1 when 'serve' can't be started, or answers without HTTP.
    """
    check_installed(SERVING)
    folder = ServeFolder(session.settings.state_dir)
    if not folder.is_served():
        _start(session, folder, port)
    address = folder.address()
    if address is None:
        raise NotStartedError(
            "the host has no pages", "'serve' runs, and does not answer over HTTP",
            "end it, and start it without --no-http",
        )  # fmt: skip
    for each in _ANY_ADDRESS:
        address = address.replace(each, "://127.0.0.1:")
    now = datetime.datetime.now(datetime.UTC)
    link = f"{address}/ui/login#{login_code(folder.session_key(), now)}"
    echo(link)
    if not no_open and not webbrowser.open(link):
        echo("no browser was found here: open the link yourself, within five minutes", err=True)


def _start(session: Session, folder: ServeFolder, port: int) -> None:
    """Start ``serve``, and return when it answers.

    Raises:
        NotStartedError: It has ended, or does not answer in time.
    """
    folder.address_path.unlink(missing_ok=True)  # of a process that was killed
    private_folder(folder.log_path.parent)
    private_file(folder.log_path)
    with folder.log_path.open("wb") as log:
        process = subprocess.Popen(
            _command(session, port), stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    echo(f"serve is started as process {process.pid}; its log is {folder.log_path}", err=True)
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        if folder.address() is not None:
            return
        time.sleep(_POLL_S)
    lines = folder.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
    why = "\n".join(lines[-_LAST_LINES:]) or "it has said nothing"
    if process.poll() is None:
        process.terminate()
        fix = "start it with 'qtforge-host serve', and look what it waits for"
        raise NotStartedError(f"serve did not answer within {_START_S:g} s", why, fix)
    raise NotStartedError("serve has ended", why, "start it with 'qtforge-host serve'")


def _command(session: Session, port: int) -> Sequence[str]:
    words = [sys.executable, "-m", "qtforge_host.cli.main"]
    words += ["--config", str(session.config)] if session.config else []
    words += ["--state-dir", str(session.state_dir)] if session.state_dir else []
    words += ["--safe-mode"] if session.safe_mode else []
    words += ["serve", "--port", str(port)]
    words += ["--journal", session.journal] if session.journal else []
    words += ["--bus", session.bus_url] if session.bus_url else []
    return words
