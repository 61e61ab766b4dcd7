"""One question of a batch."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple

import msgspec

from erllama_cli.batch.splitting import recognized, split
from erllama_cli.options.batch import BatchFormat
from erllama_cli.results.batch import RecordId
from erllama_daemon.errors import RequestInvalid

_OF_REQUEST = ("max_tokens", "stop", "logprobs", "reproducible")
_TEXT = "A batch is UTF-8 text; another encoding has to be converted first."
_OBJECT = (
    'Each record is a JSON string or an object, as in {"prompt": "Why?", "max_tokens": 32}. docs/scripts.md has all.'
)
_OF_SAMPLING = (
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "repeat_penalty",
    "seed",
    "grammar",
    "json_schema",
    "logit_bias",
)


class JsonRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A record that is a JSON object. What it does not say is as the command's options have it.

    `json_schema` is a schema, or its text.
    """

    prompt: str
    id: RecordId = None
    system: str | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | msgspec.UnsetType = msgspec.UNSET
    stop: list[str] | msgspec.UnsetType = msgspec.UNSET
    logprobs: int | msgspec.UnsetType | None = msgspec.UNSET
    reproducible: bool | msgspec.UnsetType = msgspec.UNSET
    temperature: float | msgspec.UnsetType = msgspec.UNSET
    top_k: int | msgspec.UnsetType = msgspec.UNSET
    top_p: float | msgspec.UnsetType = msgspec.UNSET
    min_p: float | msgspec.UnsetType = msgspec.UNSET
    repeat_penalty: float | msgspec.UnsetType = msgspec.UNSET
    seed: int | msgspec.UnsetType | None = msgspec.UNSET
    grammar: str | msgspec.UnsetType | None = msgspec.UNSET
    json_schema: str | dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET
    logit_bias: dict[int, float] | msgspec.UnsetType = msgspec.UNSET


class Record(NamedTuple):
    """A question, or why it is none. `number` counts from 1; `of_request` and `of_sampling` are what it asks for
    itself.
    """

    number: int
    prompt: str = ""
    id: RecordId = None
    system: str | None = None
    of_request: Mapping[str, Any] = MappingProxyType({})
    of_sampling: Mapping[str, Any] = MappingProxyType({})
    failure: RequestInvalid | None = None

    @property
    def name(self) -> str:
        """What the user hears that it is called."""
        return f"record {self.number}" if self.id is None else f"record {self.number} ({self.id})"


def read_records(pieces: Iterator[bytes], kind: BatchFormat | None) -> tuple[BatchFormat, Iterator[Record]]:
    """What the records are, unless that is given, and each of them. Lines and JSON Lines that are blank are none.
    A byte order mark before them is none of theirs, nor is the carriage return of a line's end.

    Raises BatchUnreadable, now or later; a record that makes no sense says so itself.
    """
    pieces = _without_mark(pieces)
    if kind is None:
        kind, pieces = recognized(pieces)
    return kind, _records(pieces, kind)


def _without_mark(pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield next(pieces, b"").removeprefix(codecs.BOM_UTF8)
    yield from pieces


def _records(pieces: Iterable[bytes], kind: BatchFormat) -> Iterator[Record]:
    parts = split(pieces, b"\0" if kind == "nul" else b"\n")
    kept = parts if kind == "nul" else (line.removesuffix(b"\r") for line in parts if line.strip())
    for number, part in enumerate(kept, 1):
        try:
            yield _from_json(number, part) if kind == "jsonl" else Record(number, part.decode())
        except UnicodeDecodeError as error:
            yield Record(number, failure=_refused(f"it is not UTF-8 text (byte {error.start})", _TEXT))
        except msgspec.MsgspecError as error:
            yield Record(number, failure=_refused(_reason(error), _OBJECT))
        except RecursionError:
            yield Record(number, failure=_refused("it is nested too deeply", _OBJECT))


def _refused(reason: str, hint: str) -> RequestInvalid:
    return RequestInvalid(reason=reason).with_hint(hint)


def _from_json(number: int, line: bytes) -> Record:
    """Raises MsgspecError and UnicodeDecodeError."""
    found = msgspec.json.decode(line, type=JsonRecord | str)
    if isinstance(found, str):
        return Record(number, found)
    return Record(
        number,
        found.prompt,
        found.id,
        found.system,
        _given(found, _OF_REQUEST),
        _with_schema_as_text(_given(found, _OF_SAMPLING)),
    )


def _given(record: JsonRecord, names: Iterable[str]) -> dict[str, Any]:
    values = ((name, getattr(record, name)) for name in names)
    return {name: value for name, value in values if value is not msgspec.UNSET}


def _with_schema_as_text(sampling: dict[str, Any]) -> dict[str, Any]:
    schema = sampling.get("json_schema")
    return sampling | {"json_schema": msgspec.json.encode(schema).decode()} if isinstance(schema, dict) else sampling


def _reason(error: msgspec.MsgspecError) -> str:
    text = str(error)
    return f"{text[:1].lower()}{text[1:]}" if text.startswith("Object") else text
