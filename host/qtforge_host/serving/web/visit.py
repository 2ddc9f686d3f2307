"""A request as a page sees it, what a page answers, and the description of a page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Literal, TypeVar

import msgspec

from qtforge_host.api.client import RunClient
from qtforge_host.serving.http.auth import check_scope
from qtforge_host.serving.http.requests import read_query
from qtforge_host.serving.service import Service
from qtforge_host.serving.tokens import TokenScope, allows
from qtforge_host.serving.web.pictures import Pictures

__all__ = [
    "Answered",
    "Done",
    "Download",
    "Notice",
    "Page",
    "Person",
    "Redirect",
    "View",
    "Visit",
]

T = TypeVar("T")
_LONGEST_NAME: Final = 60


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Who has logged in.

    Attributes:
        name: The name of the token, or the user of the operating system for the first one.
        scope: What the token may do.
        token: The hash of the token, in hexadecimal digits.
    """

    name: str
    scope: TokenScope
    token: str

    def may(self, needed: TokenScope) -> bool:
        """Whether the person may do what needs a scope."""
        return allows(self.scope, needed)

    @property
    def short_name(self) -> str:
        """The name, cut where it is long."""
        return self.name[:_LONGEST_NAME]


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What an action did, in words.

    Attributes:
        text: A sentence.
        detail: The cause, or more about it; or "".
        tone: Whether it was done.
        link: A page to go to, beneath ``/ui``, such as ``/runs/ID``; or "".
        link_text: What is there.
    """

    text: str
    detail: str = ""
    tone: Literal["good", "bad"] = "good"
    link: str = ""
    link_text: str = ""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A page to show.

    Attributes:
        title: Of the document.
        section: The entry of the navigation that is lit, such as ``runs``.
        template: The file of the whole page.
        data: What the templates show, as ``page``.
        fragment: The file of the part that is kept up to date; "" for none.
        run_id: The run whose records alone change that part; None for the records of all runs.
        moves: Whether that part changes with the time, also without a record.
        status: The HTTP status.
    """

    title: str
    section: str
    template: str
    data: Any
    fragment: str = ""
    run_id: str | None = None
    moves: bool = False
    status: int = 200


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A form was handled: say so, and go on there.

    Attributes:
        notice: What was done, or why it was not.
        to: A path beneath ``/ui``, such as ``/runs``.
    """

    notice: Notice
    to: str


class Redirect(msgspec.Struct, frozen=True):
    """Go on there, without a word.

    Attributes:
        to: A path beneath ``/ui``.
    """

    to: str


class Download(msgspec.Struct, frozen=True, kw_only=True):
    """A file to keep.

    Attributes:
        name: Its name; only letters, digits, dots and hyphens.
        content: Its bytes.
    """

    name: str
    content: bytes


Answered = View | Done | Redirect | Download


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """A request of a person who has logged in.

    Attributes:
        service: The running service.
        pictures: Draws graphs.
        person: Who asks.
        path: The path's parameters.
        query_items: The query's parameters, without those that are empty.
        form_items: The form's fields, without those that are empty.
    """

    service: Service
    pictures: Pictures
    person: Person
    path: Mapping[str, str]
    query_items: list[tuple[str, str]]
    form_items: list[tuple[str, str]]

    @property
    def client(self) -> RunClient:
        """Every use case, done in the person's name."""
        return self.service.client_of(self.person.name)

    def query(self, target: type[T]) -> T:
        """Return the query's parameters as a Struct.

        Raises:
            RefusedError: They do not fit.
        """
        found: T = read_query(self.query_items, target)
        return found

    def form(self, target: type[T]) -> T:
        """Return the form's fields as a Struct.

        Raises:
            RefusedError: They do not fit.
        """
        found: T = read_query(self.form_items, target)
        return found

    def need(self, scope: TokenScope) -> None:
        """Refuse the request where the person may not do what it asks for.

        Raises:
            RefusedError: The scope is not among those that the token has.
        """
        check_scope(self.person.scope, scope)


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One path beneath ``/ui``.

    Attributes:
        path: With ``{parameters}``; each may hold a quoted slash.
        scope: What a person must be allowed to do.
        show: Answers GET; None where there is nothing to see.
        act: Answers a form that was sent by POST; None where there is none.
    """

    path: str
    scope: TokenScope = "read"
    show: Callable[[Visit], Awaitable[Answered]] | None = None
    act: Callable[[Visit], Awaitable[Answered]] | None = None
