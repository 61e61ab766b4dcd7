"""What form an answer has to have."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from erllama_daemon.errors import FieldRefused

AnyFormat = Literal["text", "json_object", "json_schema"]

_ANY_OBJECT = '{"type": "object"}'


class NamedSchema(msgspec.Struct, frozen=True):
    """A JSON schema. It is always followed to the letter, `strict` or not."""

    name: str = ""
    schema: dict[str, Any] | None = None


class ChatFormat(msgspec.Struct, frozen=True):
    """Text, any JSON object, or JSON that follows a schema."""

    type: AnyFormat
    json_schema: NamedSchema | None = None

    @property
    def schema(self) -> str | None:
        """The JSON schema, as text, that the answer must follow. Raises FieldRefused."""
        return schema_text(
            self.type, None if self.json_schema is None else self.json_schema.schema, "response_format.json_schema"
        )


def schema_text(kind: AnyFormat, schema: dict[str, Any] | None, field: str) -> str | None:
    """The JSON schema, as text, that an answer of a kind must follow. Raises FieldRefused, naming `field`."""
    if kind != "json_schema":
        return _ANY_OBJECT if kind == "json_object" else None
    if schema is None:
        raise FieldRefused(field=field, reason="there is no schema in it")
    return msgspec.json.encode(schema).decode()
