"""A body of millions of values would have everybody wait for the daemon."""

from __future__ import annotations

import asyncio
import json

import pytest
from starlette.requests import Request
from starlette.types import Message

from erllama_daemon.errors import RequestInvalid
from erllama_daemon.http import json_values
from erllama_daemon.http.body import read_body

LIMIT = 1000


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONTAINERS_LIMIT", "ITEMS_LIMIT"):
        monkeypatch.setattr(json_values, name, LIMIT)


def read(body: bytes) -> object:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return asyncio.run(read_body(Request({"type": "http", "method": "POST", "headers": []}, receive), object))


@pytest.mark.parametrize("values", [b"[]," * LIMIT, b'{"a":{}},' * (LIMIT // 2), b"1," * (LIMIT + 1)])
def test_more_values_than_anybody_needs_are_refused_before_one_is_made(values: bytes) -> None:
    for start in (b"[", b'["\\\\",', b'["\\\\\\"",'):
        with pytest.raises(RequestInvalid, match="objects and arrays"):
            read(start + values + b"no JSON")


@pytest.mark.parametrize("text", ["{[,", '\\"{[,', '"{[,\\'])
def test_what_stands_in_a_text_is_none_of_them(text: str) -> None:
    read(json.dumps([text * (LIMIT + 1), "and", text]).encode())
    read(b"[" + b"[]," * (LIMIT - 2) + b"0]")
