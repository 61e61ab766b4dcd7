"""The OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon.application import Daemon, Tell, tell_in
from jsonschema import Draft202012Validator

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def tell(tmp_path: Path) -> Tell:
    return tell_in(tmp_path)


def references(found: Any) -> Iterator[str]:
    if isinstance(found, dict):
        if isinstance(found.get("$ref"), str):
            yield found["$ref"]
        for value in found.values():
            yield from references(value)
    elif isinstance(found, list):
        for value in found:
            yield from references(value)


def test_the_document_that_is_served_is_the_one_in_the_documentation(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        assert (await daemon.get("/openapi.json")).json == json.loads((DOCS / "openapi.json").read_text())

    tell(story)


def test_whatever_the_document_refers_to_is_in_it_and_is_a_schema() -> None:
    document = json.loads((DOCS / "openapi.json").read_text())

    schemas = document["components"]["schemas"]
    assert {*references(document)} <= {f"#/components/schemas/{name}" for name in schemas}
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)


def test_every_endpoint_says_what_it_is_for_and_no_two_are_asked_alike(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        endpoints = daemon.app.endpoints()
        assert [endpoint.path for endpoint in endpoints if not endpoint.summary.endswith(".")] == []
        assert len({(endpoint.method, endpoint.path) for endpoint in endpoints}) == len(endpoints)

    tell(story)


def test_what_no_endpoint_is_asked_for_is_a_named_error(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        for response in (await daemon.get("/v1/sessions/a/b/c"), await daemon.delete("/v1/status")):
            assert (response.status, response.json["code"]) == (404, "endpoint_unknown")

    tell(story)
