"""The application as clients reach it: compressed, and beneath a path of a proxy."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["published"]

_SMALL: Final = 1024  # bytes of an answer that is not worth compressing
_LEVEL: Final = 1  # a large answer must not keep the event loop


def published(application: ASGIApp, root_path: str) -> ASGIApp:
    """Return an application that compresses its answers, streams of events excepted.

    Args:
        application: Answers beneath ``/``.
        root_path: The path beneath which a proxy publishes it, without a slash at its end; ""
            for none. The proxy may remove it from requests, or leave it.
    """
    beneath = _Beneath(application, root_path) if root_path else application
    return GZipMiddleware(beneath, minimum_size=_SMALL, compresslevel=_LEVEL)


class _Beneath:
    """Removes the path of a proxy from requests, and adds it to locations."""

    def __init__(self, application: ASGIApp, root_path: str) -> None:
        self._application = application
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        root_path, path = self._root_path, scope.get("path", "")
        if path == root_path or path.startswith(f"{root_path}/"):
            # In the raw path a slash may be part of a name, and any letter be quoted.
            raw = scope.get("raw_path", b"").split(b"/")[1 + root_path.count("/") :]
            raw_path = b"/" + b"/".join(raw) if raw else b""
            scope = {**scope, "path": path[len(root_path) :] or "/", "raw_path": raw_path}

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                location = headers.get("location", "")
                if location.startswith("/"):
                    headers["location"] = f"{root_path}{location}"
            await send(message)

        await self._application(scope, receive, sending)
