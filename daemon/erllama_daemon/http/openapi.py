"""The OpenAPI document of the endpoints, made from what each of them declares."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from erllama_daemon import __version__
from erllama_daemon.http.body import JSON, NDJSON
from erllama_daemon.http.endpoint import Endpoint
from erllama_daemon.http.event_stream import SSE

Document = dict[str, Any]

_DESCRIPTION = """\
A local language model with a memory. On the Unix socket its owner may ask everything and needs no key; what is marked
with a security scheme is also open on TCP, to who has the key."""
_STREAMS = {"ndjson": (NDJSON, "One JSON object a line."), "sse": (SSE, "Server-sent events, each with one of these.")}
_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")


def openapi_document(endpoints: Sequence[Endpoint]) -> Document:
    """The document (OpenAPI 3.1): every endpoint with its body, its answers and its errors."""
    types = [found for endpoint in endpoints for found in _types(endpoint)]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    found = iter(schemas)
    paths: Document = {}
    for endpoint in endpoints:
        own: Document = {}
        for field, _type in _fields(endpoint):
            schema = next(found)
            own[field] = _either(own[field], schema) if field in own else schema
        paths.setdefault(_PARAMETER.sub(r"{\1}", endpoint.path), {})[endpoint.method.lower()] = _operation(
            endpoint, own
        )
    return {
        "openapi": "3.1.0",
        "info": {"title": "erllama", "version": __version__, "description": " ".join(_DESCRIPTION.split())},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _fields(endpoint: Endpoint) -> Iterator[tuple[str, object]]:
    for field in ("body", "answer", "events", "error"):
        found = getattr(endpoint, field)
        for each in found if isinstance(found, tuple) else (found,):
            if each is not None:
                yield field, each


def _either(one: Document, other: Document) -> Document:
    return {"anyOf": [*one.get("anyOf", [one]), other]}


def _types(endpoint: Endpoint) -> list[Any]:
    return [found for _field, found in _fields(endpoint)]


def _operation(endpoint: Endpoint, schemas: Document) -> Document:
    operation: Document = {
        "tags": [endpoint.dialect],
        "operationId": endpoint.route.name,
        "summary": endpoint.summary,
        "parameters": _parameters(endpoint),
        "responses": _responses(endpoint, schemas),
    }
    if "body" in schemas:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": schemas["body"]}}}
    if "tcp" in endpoint.doors:
        operation["security"] = [{"key": []}, {}]
    return operation


def _parameters(endpoint: Endpoint) -> list[Document]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PARAMETER.findall(endpoint.path)
    ]
    in_query = [
        {"name": name, "in": "query", "description": inspect.cleandoc(text), "schema": {"type": "string"}}
        for name, text in endpoint.query.items()
    ]
    return [*in_path, *in_query]


def _responses(endpoint: Endpoint, schemas: Document) -> Document:
    content: Document = {}
    description = "Done." if endpoint.status == 200 else "It will be done."
    if "answer" in schemas:
        content[JSON] = {"schema": schemas["answer"]}
    if "events" in schemas:
        kind, description = _STREAMS[endpoint.stream]
        content[kind] = {"schema": schemas["events"]}
    failed = {"description": "Why not.", "content": {JSON: {"schema": schemas["error"]}}}
    answered: Document = {"description": description} | ({"content": content} if content else {})
    empty = {} if endpoint.empty is None else {"204": {"description": endpoint.empty}}
    return {str(endpoint.status): answered, **empty, **dict.fromkeys(("4XX", "501", "503"), failed)}
