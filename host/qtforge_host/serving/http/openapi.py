"""The OpenAPI document, made from the table that the routes are made from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from qtforge_host.api import documents
from qtforge_host.api.documents import ErrorDocument, Ready
from qtforge_host.plugins.discovery import installed_version
from qtforge_host.serving.http.requests import ARCHIVE, JSON, Endpoint
from qtforge_host.serving.http.routes import HEALTH_PATH, OPENAPI_PATH
from qtforge_host.serving.http.schemas import GRAPH_TYPES, SCHEMA_TYPE

__all__ = ["openapi"]

_REF: Final = "#/components/schemas/{name}"
_REFUSALS: Final = {
    "Unauthorized": "The token is missing or wrong, was revoked, or has expired.",
    "Forbidden": "The token's scope does not include this, or a page of another site sent it.",
    "Refused": "The request was refused, and why.",
}
_PARAMETER: Final = re.compile(r"\{(\w+)\}")


def openapi(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the document, in OpenAPI 3.1."""
    types = _types(endpoints)
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    schema_of = dict(zip(types, schemas, strict=True))
    _require(components)
    paths: dict[str, dict[str, Any]] = {}
    for each in endpoints:
        operation = _operation(each, schema_of)
        paths.setdefault(each.path, {})[each.method.lower()] = operation
    paths[HEALTH_PATH] = {"get": _own("liveness", "Whether the process lives.", schema_of[Ready])}
    paths[HEALTH_PATH]["get"]["security"] = []
    paths[OPENAPI_PATH] = {"get": _own("openapi", "This document.", {"type": "object"})}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "QtForge Host",
            "version": installed_version("qtforge-host"),
            "description": "Durable workflows: start, show and change runs, and follow them live.",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {
                name: {
                    "description": text,
                    "content": {JSON: {"schema": schema_of[ErrorDocument]}},
                }
                for name, text in _REFUSALS.items()
            },
        },
    }


def _require(components: Mapping[str, dict[str, Any]]) -> None:
    """Say that a document has every field that it always has; a default alone does not say so."""
    for name in documents.__all__:
        found = getattr(documents, name)
        schema = components.get(name)
        if schema is not None and isinstance(found, type) and issubclass(found, msgspec.Struct):
            schema["required"] = [
                each.encode_name
                for each in msgspec.structs.fields(found)
                if each.default is not msgspec.UNSET
            ]


def _types(endpoints: Sequence[Endpoint]) -> list[type]:
    found: list[type] = [ErrorDocument, Ready]
    for each in endpoints:
        found += [each.body] if each.body not in (None, bytes) else []
        found += [answer for answer in each.answers.values() if isinstance(answer, type)]
        found += [field.type for field in msgspec.structs.fields(each.query)]
    unique: list[type] = []
    for one in found:
        if one not in unique:
            unique.append(one)
    return unique


def _operation(endpoint: Endpoint, schema_of: Mapping[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "security": [{"token": [endpoint.scope]}],
        "responses": {
            **{
                str(status): _answer(answer, schema_of)
                for status, answer in endpoint.answers.items()
            },
            "401": {"$ref": "#/components/responses/Unauthorized"},
            "403": {"$ref": "#/components/responses/Forbidden"},
            "default": {"$ref": "#/components/responses/Refused"},
        },
    }
    parameters = _parameters(endpoint, schema_of)
    if parameters:
        operation["parameters"] = parameters
    if endpoint.body is not None:
        # OpenAPI 3.1 describes a file by an empty schema.
        schema = {} if endpoint.body is bytes else schema_of[endpoint.body]
        operation["requestBody"] = {
            "required": not endpoint.body_optional,
            "content": {endpoint.body_type: {"schema": schema}},
        }
    return operation


def _parameters(endpoint: Endpoint, schema_of: Mapping[Any, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(endpoint.path)
    ]
    for field in msgspec.structs.fields(endpoint.query):
        schema = dict(schema_of[field.type])
        if field.default is not msgspec.NODEFAULT and field.default is not None:
            schema["default"] = field.default
        found.append({"name": field.encode_name, "in": "query", "schema": _without_null(schema)})
    found += [
        {"name": name, "in": "header", "schema": dict(schema)}
        for name, schema in endpoint.headers.items()
    ]
    return found


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Leave out the null that stands for a parameter that is not given: a query has no null."""
    kinds = [each for each in schema.get("anyOf", []) if each != {"type": "null"}]
    return schema if len(kinds) != 1 else kinds[0]


def _answer(answer: type | str, schema_of: Mapping[Any, Any]) -> dict[str, Any]:
    if not isinstance(answer, str):
        return {"description": "Done.", "content": {JSON: {"schema": schema_of[answer]}}}
    kinds = GRAPH_TYPES.values() if answer == "text/*" else (answer,)
    schema = {ARCHIVE: {}, SCHEMA_TYPE: {"type": "object"}}.get(answer, {"type": "string"})
    text: dict[str, Any] = {"schema": schema}
    return {"description": "Done.", "content": {kind.partition(";")[0]: text for kind in kinds}}


def _own(name: str, summary: str, schema: Any) -> dict[str, Any]:
    """Describe what the application answers by itself."""
    return {
        "operationId": name,
        "summary": summary,
        "responses": {
            "200": {"description": "Done.", "content": {JSON: {"schema": schema}}},
            "default": {"$ref": "#/components/responses/Refused"},
        },
    }
