"""The HTTP interface, from its OpenAPI document."""

from __future__ import annotations

import json
from typing import Any

from qtforge_host.serving.http.openapi import openapi
from qtforge_host.serving.http.routes import ENDPOINTS
from tools.site.reference.markdown import cell, first_paragraph, table
from tools.site.reference.schema import properties, type_words

__all__ = ["http_pages"]


def http_pages(path: str) -> dict[str, str]:
    """Return the page of all routes and documents."""
    document = openapi(ENDPOINTS)
    parts = [
        "# HTTP interface",
        "Every route of `qtforge-host serve`, from the OpenAPI document that a server answers at"
        " `/openapi.json`. [Serving](../serve.md) has examples and tokens.",
        "## Routes",
        table(
            ("route", "what it does", "scope"),
            (
                (f"[`{method.upper()} {route}`](#{_slug(method, route)})", one["summary"],
                 _scope(one))
                for route, methods in document["paths"].items()
                for method, one in methods.items()
            ),
        ),
    ]  # fmt: skip
    for route, methods in document["paths"].items():
        for method, one in methods.items():
            parts += _route(method, route, one)
    parts.append("## Documents")
    for name, schema in sorted(document["components"]["schemas"].items()):
        parts += [f"(http-{name.lower()})=\n### {name}", first_paragraph(schema.get("description"))]
        parts.append(properties(schema, _link))
    return {path: "\n\n".join(part for part in parts if part) + "\n"}


def _route(method: str, route: str, one: dict[str, Any]) -> list[str]:
    parts = [f"({_slug(method, route)})=\n### {method.upper()} {route}", cell(one["summary"])]
    parts.append(
        table(
            ("parameter", "in", "type", "default"),
            (
                (f"`{each['name']}`", each["in"], type_words(each["schema"], _link),
                 f"`{json.dumps(each['schema']['default'])}`"
                 if "default" in each["schema"] else "")
                for each in one.get("parameters", [])
            ),
        )
    )  # fmt: skip
    body = one.get("requestBody")
    if body is not None:
        parts.append(f"Body: {_content(body['content'])}")
    for status, answer in one["responses"].items():
        if status.isdigit() and "$ref" not in answer and answer.get("content"):
            parts.append(f"{status}: {_content(answer['content'])}")
    return parts


def _content(content: dict[str, Any]) -> str:
    return ", ".join(
        f"`{kind}` {type_words(each['schema'], _link)}".strip() for kind, each in content.items()
    )


def _link(name: str) -> str:
    return f"[{name}](#http-{name.lower()})"


def _scope(one: dict[str, Any]) -> str:
    return ", ".join(
        scope for each in one.get("security", []) for scopes in each.values() for scope in scopes
    )


def _slug(method: str, route: str) -> str:
    words = "".join(each if each.isalnum() else "-" for each in route.lower())
    return f"route-{method}{words.rstrip('-')}"
