"""``qtforge-host tokens``: create, list and revoke tokens of the HTTP interface."""

from __future__ import annotations

import datetime

import click

from qtforge_host.api.documents import TokenCreated, TokenRevoked, TokenRow, Tokens
from qtforge_host.cli.output import json_option, print_json, state
from qtforge_host.cli.pager import paged
from qtforge_host.cli.runs.options import duration_option
from qtforge_host.cli.session import Session
from qtforge_host.cli.tables import table
from qtforge_host.cli.terminal import echo
from qtforge_host.serving.tokens import FIRST, SCOPES, TokenScope, TokenStore

__all__ = ["tokens"]


@click.group()
def tokens() -> None:
    """Create, list and revoke the tokens of the HTTP interface.

    A running 'serve' notices each change at once.
    """


@tokens.command()
@click.option(
    "--scope", type=click.Choice(SCOPES), required=True,
    help="What it may do; each includes those before it.",
)  # fmt: skip
@click.option("--expires", metavar="DURATION", help="How long it is valid, such as 90d.")
@click.option("--name", default="", metavar="TEXT", help="What it is for.")
@json_option
@click.pass_obj
def create(
    session: Session, scope: TokenScope, expires: str | None, name: str, as_json: bool
) -> None:
    """Create a token, and print it, only once: the host keeps its hash alone.

    read shows everything; approve also sends events to runs, such as a decision; operate also
    starts, pauses, resumes, retries, cancels and amends runs, and sends messages to topics; admin
    also imports and deletes runs.
    """
    lifetime = None if expires is None else duration_option("--expires", expires)
    if lifetime is not None and lifetime <= datetime.timedelta():
        raise click.UsageError("--expires: it must be more than nothing")
    made, text = TokenStore(session.settings.state_dir).create(scope, name, lifetime)
    if as_json:
        created = TokenCreated(
            token=text,
            id=made.id,
            name=made.name,
            scope=made.scope,
            created_at=made.created_at,
            expires_at=made.expires_at,
        )
        print_json(created)
        return
    echo(text)
    until = "" if made.expires_at is None else f" until {_when(made.expires_at)}"
    echo(f"the scope of {made.id} is {made.scope}{until}; it is not shown again", err=True)


@tokens.command("list")
@json_option
@click.pass_obj
@paged
def list_tokens(session: Session, as_json: bool) -> None:
    """Show the tokens, without their texts."""
    store = TokenStore(session.settings.state_dir)
    now = datetime.datetime.now(datetime.UTC)
    rows = [
        TokenRow(
            id=each.id,
            name=each.name,
            scope=each.scope,
            created_at=each.created_at,
            expires_at=each.expires_at,
            expired=each.is_expired(now),
        )
        for each in store.all()
    ]
    if store.has_first:
        first = TokenRow(
            id=FIRST, name="serve/token", scope="admin", created_at=None, expires_at=None,
            expired=False,
        )  # fmt: skip
        rows.insert(0, first)
    if as_json:
        print_json(Tokens(tokens=rows))
        return
    if not rows:
        echo("there is no token yet; 'serve' makes the first, 'tokens create' others")
        return
    table(
        ("STATE", "TOKEN", "SCOPE", "CREATED", "EXPIRES", "NAME"),
        (
            (
                state("expired" if each.expired else "valid"),
                each.id,
                each.scope,
                _when(each.created_at),
                _when(each.expires_at) or "never",
                each.name,
            )
            for each in rows
        ),
        whole=("TOKEN", "CREATED", "EXPIRES"),
        short=("NAME",),
    )


@tokens.command()
@click.argument("token_id", metavar="TOKEN")
@json_option
@click.pass_obj
def revoke(session: Session, token_id: str, as_json: bool) -> None:
    """Revoke a token by the id that 'tokens list' shows, at once.

    After 'first', which is in a file, was revoked, the next start of 'serve' creates another.
    """
    TokenStore(session.settings.state_dir).revoke(token_id)
    if as_json:
        print_json(TokenRevoked(revoked=token_id))
    else:
        echo(f"the token {token_id} is revoked")


def _when(moment: datetime.datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
