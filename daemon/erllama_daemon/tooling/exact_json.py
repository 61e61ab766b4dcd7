"""JSON in one way of writing, so that a call which a client sends back has the bytes that the model wrote."""

from __future__ import annotations

import json
import re
from typing import Any

_LEXEME = re.compile(r'(?P<text>"(?:[^"\\]|\\.)*")|(?P<mark>[{}\[\]:,])|(?P<word>[^\s{}\[\]:,"]+)', re.DOTALL)
_WRITTEN = {":": ": ", ",": ", "}


class ArgumentsBroken(ValueError):
    """A text is no JSON object."""


class WrittenObject(dict[str, Any]):
    """A JSON object that the filter `tojson` writes as it was written. The sandbox shows a template no other part."""

    def __init__(self, value: dict[str, Any], written: str) -> None:
        super().__init__(value)
        self._written = written

    @property
    def _text(self) -> str:
        return self._written


def written_text(value: object) -> str | None:
    """How a value is to be written, if that is settled."""
    return value._text if isinstance(value, WrittenObject) else None


def exact_json(text: str) -> str:
    """An object's JSON with the white space that `tojson` writes, and its strings with as few escapes.

    Numbers stay as they are. Nothing at all is an empty object. Raises ArgumentsBroken.
    """
    arguments(text)
    return "".join(map(_exact, _LEXEME.finditer(text))) or "{}"


def arguments(text: str) -> dict[str, Any]:
    """The arguments of a call. Raises ArgumentsBroken."""
    try:
        found = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise ArgumentsBroken(str(error)[:200]) from error
    if not isinstance(found, dict):
        raise ArgumentsBroken("it is no JSON object")
    return found


def _exact(lexeme: re.Match[str]) -> str:
    if lexeme["text"] is not None and "\\" in lexeme["text"]:
        return _carriable(json.dumps(json.loads(lexeme["text"]), ensure_ascii=False), lexeme["text"])
    return _WRITTEN.get(lexeme[0], lexeme[0])


def _carriable(text: str, otherwise: str) -> str:
    """The text, unless it holds half a surrogate pair, which only an escape can write."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return otherwise
    return text
