"""The pages' ASGI application: who asks, which page answers, and how it is sent."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from qtforge_host.api.documents import ErrorFacts, error_document
from qtforge_host.serving.errors import RefusedError
from qtforge_host.serving.http.application import PAGES as ROOT
from qtforge_host.serving.http.application import Current
from qtforge_host.serving.http.auth import Gate, check_scope
from qtforge_host.serving.http.connections import AUTHENTICATED
from qtforge_host.serving.http.paths import with_names
from qtforge_host.serving.http.sse import LAST_ID, EventStream
from qtforge_host.serving.options import ServeOptions
from qtforge_host.serving.service import Service
from qtforge_host.serving.state_files import ServeFolder
from qtforge_host.serving.tokens import TokenChecker
from qtforge_host.serving.web.live import (
    Changes,
    Fragment,
    PageStream,
    encoded,
    fingerprint,
    partial,
)
from qtforge_host.serving.web.pages import PAGES
from qtforge_host.serving.web.pictures import Pictures
from qtforge_host.serving.web.rendering import Renderer
from qtforge_host.serving.web.session import LIFETIME_S, LoginRefusedError, Sessions
from qtforge_host.serving.web.static_files import StaticFiles
from qtforge_host.serving.web.visit import (
    Answered,
    Done,
    Download,
    Notice,
    Page,
    Person,
    Redirect,
    View,
    Visit,
)
from qtforge_sdk.errors import QtForgeError

__all__ = ["Site"]

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final[tuple[tuple[str, str], ...]] = (
    ("Content-Security-Policy", _POLICY),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
)
_FORM: Final = "application/x-www-form-urlencoded"
_LARGEST_FORM: Final = 1_000_000
_MOST_FIELDS: Final = 1000
_ANSWER_S: Final = 90.0
_FLASH_S: Final = 60
_LONGEST_TEXT: Final = 600  # characters of a notice, which a cookie carries
_OF_LIVE: Final = frozenset({"seen", "once"})  # parameters of the stream, and of no page
_LOGIN_OVER: Final = Notice(
    text="Your login is over.", tone="bad", link="/login", link_text="Log in again"
)
_THEMES: Final = ("light", "dark")
_COUNTED_S: Final = 1.0  # how long the number in the navigation may be old


class Site:
    """Implements ASGI for what is beneath ``/ui``.

    Args:
        current: The service that answers.
        gate: Checks the site and the rate of requests.
        folder: Where the key of the logins is.
        tokens: The tokens that logins belong to.
        options: How it is served.
        since: When the process began, in UTC.

    Raises:
        StateDirectoryError: The key of the logins can't be read or made.
    """

    def __init__(
        self,
        current: Current,
        gate: Gate,
        folder: ServeFolder,
        tokens: TokenChecker,
        options: ServeOptions,
        since: datetime.datetime,
    ) -> None:
        self._current = current
        self._gate = gate
        self._base = options.root_path + ROOT
        self._is_secure = urlsplit(options.public_url).scheme == "https"
        self._files = StaticFiles()
        self._renderer = Renderer(self._files, self._base)
        self._sessions = Sessions(
            folder, tokens, lambda: datetime.datetime.now(datetime.UTC), since
        )
        self._pages = [(compile_path(with_names(each.path)), each) for each in PAGES]
        self._pictures = Pictures()
        self._changes: tuple[Service, Changes] | None = None
        self._inbox = (0.0, 0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        path = scope["path"].removeprefix(ROOT) or "/"
        if path.startswith("/static/"):
            answer: ASGIApp = self._static(request, path.removeprefix("/static/"))
            await answer(scope, receive, send)
            return
        person = self._sessions.person(request.cookies.get(self._sessions.cookie, ""))
        try:
            self._gate.check_site(scope)
            self._gate.check_rate(scope, known=person is not None)
            if scope["method"] == "POST":
                _check_same_origin(request.headers)
            elif scope["method"] not in ("GET", "HEAD"):
                raise _wrong_method(scope["method"])
            if path in ("/login", "/logout"):
                answer = await self._log_in_or_out(request, path)
            elif path.startswith("/live/"):
                if person is not None:
                    scope[AUTHENTICATED] = person.scope
                answer = self._live(request, path.removeprefix("/live"))
            elif person is None:
                answer = self._ask_to_log_in(request)
            else:
                scope[AUTHENTICATED] = person.scope
                async with asyncio.timeout(_ANSWER_S):
                    answer = await self._answer(request, path, person)
        except QtForgeError as error:
            answer = self._refused(request, error, person)
        await answer(scope, receive, send)

    def find(self, path: str) -> tuple[Page, Mapping[str, str]]:
        """Return the page at a path beneath ``/ui``, and the path's parameters.

        Raises:
            RefusedError: There is none.
        """
        for (pattern, _, convertors), page in self._pages:
            if found := pattern.match(path):
                names = found.groupdict()
                return page, {key: convertors[key].convert(names[key]) for key in names}
        raise RefusedError(404, "http.not_found", "there is no such page", "", "see the runs")

    async def _answer(self, request: Request, path: str, person: Person) -> ASGIApp:
        page, names = self.find(path)
        is_post = request.method == "POST"
        handler = page.act if is_post else page.show
        if handler is None:
            raise _wrong_method(request.method)
        check_scope(person.scope, page.scope)
        visit = self._visit(request, person, names, await _form(request) if is_post else [])
        if not is_post:
            return await self._sent(request, await handler(visit), person)
        try:
            answered = await handler(visit)
        except QtForgeError as error:
            facts = error_document(error).error
            detail = " ".join(filter(None, (facts.why, facts.fix)))
            notice = Notice(text=_sentence(facts.message), detail=detail, tone="bad")
            answered = Done(notice=notice, to=_back(request, self._base))
        return await self._sent(request, answered, person)

    def _visit(
        self,
        request: Request,
        person: Person,
        names: Mapping[str, str],
        form: list[tuple[str, str]],
    ) -> Visit:
        query = request.query_params.multi_items()
        return Visit(
            service=self._service(),
            pictures=self._pictures,
            person=person,
            path=names,
            query_items=[(key, value) for key, value in query if value and key not in _OF_LIVE],
            form_items=form,
        )

    def _live(self, request: Request, path: str) -> ASGIApp:
        """Return the stream that keeps a page up to date, or once what it shows now.

        Raises:
            RefusedError: There is no such page, or the host starts or stops.
        """
        page, names = self.find(path)
        if page.show is None or request.method != "GET":
            raise _wrong_method(request.method)
        show, cookie = page.show, request.cookies.get(self._sessions.cookie, "")

        async def make() -> Fragment:
            person = self._sessions.person(cookie)
            if person is None or not person.may(page.scope):
                return self._last(_LOGIN_OVER)
            try:
                view = await show(self._visit(request, person, names, []))
            except QtForgeError as error:
                if error.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise
                # Such as a run that was deleted: nothing follows, however often it is asked.
                facts = error_document(error).error
                return self._last(Notice(text=_sentence(facts.message), tone="bad"))
            if not isinstance(view, View) or not view.fragment:
                raise RefusedError(404, "http.not_found", "this page does not change")
            count = {"inbox_count": await self._inbox_count()}
            return Fragment(
                html=self._renderer.render(view.fragment, {"page": view.data, "person": person}),
                more=self._renderer.render("_inbox_count.html", count),
                run_id=view.run_id,
                moves=view.moves,
            )

        if "once" in request.query_params:
            return _Once(make, self._html)
        seen = request.headers.get(LAST_ID.lower(), "") or request.query_params.get("seen", "")
        return EventStream(PageStream(self._listening(), make, seen), encoded)

    def _last(self, notice: Notice) -> Fragment:
        html = self._renderer.render("_notice.html", {"notice": notice})
        whole = f'<div id="notices" aria-live="polite">{html}</div>'
        return Fragment(html=whole, is_last=True)

    def _listening(self) -> Changes:
        service = self._service()
        if self._changes is None or self._changes[0] is not service:
            self._changes = service, Changes(service.streams)
        return self._changes[1]

    async def _sent(self, request: Request, answered: Answered, person: Person) -> ASGIApp:
        match answered:
            case View():
                return await self._view(request, answered, person)
            case Download():
                headers = {"Content-Disposition": f'attachment; filename="{answered.name}"'}
                return Response(
                    answered.content, 200, {**dict(_HEADERS), **headers}, "application/octet-stream"
                )
            case Redirect():
                return RedirectResponse(ROOT + answered.to, 303, dict(_HEADERS))
            case Done():
                return self._done(request, answered)

    async def _view(self, request: Request, view: View, person: Person) -> Response:
        context = {"page": view.data, "person": person}
        fragment = live = ""
        if view.fragment:
            fragment = self._renderer.render(view.fragment, context)
            query = [*request.query_params.multi_items(), ("seen", fingerprint(fragment))]
            live = f"{request.scope['path'].removeprefix(ROOT)}?{urlencode(query)}"
        flash = request.cookies.get(f"{self._sessions.cookie}-notice", "")
        context |= {
            "title": view.title,
            "section": view.section,
            "fragment": fragment,
            "live": live,
            "notice": self._sessions.notice(flash) if flash else None,
            "theme": self._theme(request),
            "inbox_count": await self._inbox_count(),
        }
        html = self._renderer.render(view.template, context)
        answer = self._html(html, view.status)
        if flash:
            answer.delete_cookie(f"{self._sessions.cookie}-notice", path=self._base)
        return answer

    def _done(self, request: Request, done: Done) -> Response:
        if request.headers.get("hx-request") == "true":
            return self._html(self._renderer.render("_notice.html", {"notice": done.notice}))
        answer = RedirectResponse(ROOT + done.to, 303, dict(_HEADERS))
        notice = Notice(
            text=done.notice.text[:_LONGEST_TEXT],
            detail=done.notice.detail[:_LONGEST_TEXT],
            tone=done.notice.tone,
            link=done.notice.link[:_LONGEST_TEXT],
            link_text=done.notice.link_text[:_LONGEST_TEXT],
        )
        self._set_cookie(
            answer,
            f"{self._sessions.cookie}-notice",
            self._sessions.signed_notice(notice),
            _FLASH_S,
        )
        return answer

    def _html(self, html: str, status: int = 200) -> Response:
        return Response(html, status, dict(_HEADERS), "text/html; charset=utf-8")

    def _static(self, request: Request, name: str) -> Response:
        gzipped = "gzip" in request.headers.get("accept-encoding", "")
        found = self._files.answer(name, gzipped=gzipped)
        return Response("", 404) if found is None else found

    def _service(self) -> Service:
        if self._current.service is None:
            raise RefusedError(
                503, "http.not_ready", "the host is starting or stopping", "", "try again soon",
                {"Retry-After": "1"},
            )  # fmt: skip
        return self._current.service

    async def _inbox_count(self) -> int:
        at_s, count = self._inbox
        if self._current.service is not None and time.monotonic() - at_s > _COUNTED_S:
            client = self._current.service.client
            count = (await client.count(waiting_for="user.*")).count
            self._inbox = (time.monotonic(), count)
        return count

    async def _log_in_or_out(self, request: Request, path: str) -> Response:
        if path == "/logout":
            if request.method != "POST":
                raise _wrong_method(request.method)
            answer: Response = RedirectResponse(f"{ROOT}/login", 303, dict(_HEADERS))
            answer.delete_cookie(self._sessions.cookie, path=self._base)
            return answer
        to = _inside(request.query_params.get("next", ""))
        if request.method != "POST":
            return self._login_page(request, to)
        fields = dict(await _form(request))
        try:
            code = fields.get("code", "")
            opened = (
                self._sessions.open_with_code(code)
                if code
                else self._sessions.open_with_token(fields.get("token", ""))
            )
        except LoginRefusedError as error:
            return self._login_page(request, to, error_document(error).error)
        answer = RedirectResponse(ROOT + to, 303, dict(_HEADERS))
        self._set_cookie(answer, self._sessions.cookie, opened, LIFETIME_S)
        return answer

    def _login_page(self, request: Request, to: str, error: ErrorFacts | None = None) -> Response:
        context = {"to": to, "error": error, "theme": self._theme(request)}
        status = HTTPStatus.OK if error is None else HTTPStatus.UNAUTHORIZED
        return self._html(self._renderer.render("login.html", context), status)

    def _ask_to_log_in(self, request: Request) -> Response:
        if request.headers.get("hx-request") == "true":
            # A page that was left open: it goes to the login, and comes back.
            return Response("", 401, {**dict(_HEADERS), "HX-Refresh": "true"})
        # A browser keeps a strict cookie to itself when a link of another site is followed, such
        # as of a mail; it sends it with the next request, which is this page's own.
        if request.headers.get("sec-fetch-site") == "cross-site" and request.method == "GET":
            return self._html(self._renderer.render("again.html", {"theme": self._theme(request)}))
        query = f"?{request.url.query}" if request.url.query else ""
        wanted = request.scope["path"].removeprefix(ROOT) + query
        to = "" if request.method == "POST" or wanted in ("", "/") else f"?next={_quoted(wanted)}"
        return RedirectResponse(f"{ROOT}/login{to}", 303, dict(_HEADERS))

    def _refused(self, request: Request, error: QtForgeError, person: Person | None) -> Response:
        facts = error_document(error).error
        if request.headers.get("hx-request") == "true":
            detail = " ".join(filter(None, (facts.why, facts.fix)))
            notice = Notice(text=_sentence(facts.message), detail=detail, tone="bad")
            return self._html(self._renderer.render("_notice.html", {"notice": notice}))
        context = {
            "error": facts, "person": person, "title": "Not possible", "section": "",
            "live": "", "notice": None, "theme": self._theme(request), "inbox_count": 0,
        }  # fmt: skip
        answer = self._html(self._renderer.render("error.html", context), error.http_status)
        if isinstance(error, RefusedError):
            answer.headers.update(error.headers)
        return answer

    def _set_cookie(self, answer: Response, name: str, value: str, age_s: int) -> None:
        answer.set_cookie(
            name, value, max_age=age_s, path=self._base, secure=self._is_secure,
            httponly=True, samesite="strict",
        )  # fmt: skip

    def _theme(self, request: Request) -> str:
        theme = request.cookies.get("qtforge-theme", "")
        return theme if theme in _THEMES else ""


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class _Once:
    """What a stream would send first, for a browser that has no connection left for one."""

    def __init__(
        self, make: Callable[[], Awaitable[Fragment]], answer: Callable[[str], Response]
    ) -> None:
        self._make = make
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fragment = await self._make()
        html = partial(fragment.html) + (partial(fragment.more) if fragment.more else "")
        await self._answer(html)(scope, receive, send)


async def _form(request: Request) -> list[tuple[str, str]]:
    """Return the fields of a form that are not empty.

    Raises:
        RefusedError: It is too large, or no form.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != _FORM:
        raise RefusedError(415, "http.unsupported_media_type", f"a form must be {_FORM}")
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > _LARGEST_FORM:
            raise RefusedError(
                413, "http.too_large", "the form is too large",
                f"{_LARGEST_FORM} bytes are allowed", "send less", {"Connection": "close"},
            )  # fmt: skip
        parts.append(part)
    try:
        text = b"".join(parts).decode()
        return parse_qsl(text, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise RefusedError(
            400, "http.invalid_request", "the form can't be read", str(error)
        ) from None


def _check_same_origin(headers: Headers) -> None:
    """Refuse a form of another site's page.

    A browser says where a form comes from in ``Sec-Fetch-Site``, or in ``Origin``, which the gate
    has compared with this host.

    Raises:
        RefusedError: It comes from elsewhere, or does not say from where.
    """
    site = headers.get("sec-fetch-site")
    if site != "same-origin" if site is not None else headers.get("origin") is None:
        raise RefusedError(
            403, "http.origin_refused", "the form does not come from these pages", "",
            "go back to the page, and send it from there",
        )  # fmt: skip


def _wrong_method(method: str) -> RefusedError:
    return RefusedError(
        405, "http.method_not_allowed", f"this page does not take {method}", "", "see the runs",
        {"Allow": "GET, HEAD, POST"},
    )  # fmt: skip


def _inside(path: str) -> str:
    """Return a path beneath the pages to go on to; the runs in place of any other."""
    is_inside = path.startswith("/") and not path.startswith(("//", "/\\", "/login", "/live"))
    return path if is_inside and path.isprintable() and "\\" not in path else "/runs"


def _back(request: Request, base: str) -> str:
    """Return the page on which a form was, as far as the browser says it."""
    came = urlsplit(request.headers.get("referer", ""))
    path = came.path.removeprefix(base) if came.path.startswith(f"{base}/") else ""
    return _inside(path + (f"?{came.query}" if came.query else ""))


def _quoted(path: str) -> str:
    return urlencode({"": path}).removeprefix("=")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
