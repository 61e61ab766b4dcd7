"""JSON schemas as rules of a GBNF grammar, for JSON that is written in one way only.

It has the white space of `tojson`, members in the order of the schema, and no escape that is not needed: what a model
writes under such a grammar has the same bytes when a client sends it back. What a grammar cannot say (patterns, limits
of numbers, conditions) is left out; who takes the JSON has to check it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from erllama_daemon.grammar.rule import GbnfError

MAX_COUNT = 900
"""Larger minima and maxima are left out: each is written out in the grammar."""

MAX_PLACES = 20_000
"""How many schemas a schema may hold, those counted again that it refers to from several `allOf`."""

_TWO, _FOUR, _EIGHT = "[0-9]{2}", "[0-9]{4}", "[0-9a-f]{8}"
_DATE = f'{_FOUR} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | [12] [0-9] | "3" [01])'
_CLOCK = '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] ("." [0-9]{3})?'
_TIME = f'{_CLOCK} ("Z" | ("+" | "-") [01] [0-9] ":" [0-5] [0-9])'

COMMON_RULES = {
    "json-value": "json-object | json-array | json-string | json-number | json-boolean | json-null",
    "json-object": '"{" (json-member (", " json-member)*)? "}"',
    "json-member": 'json-string ": " json-value',
    "json-array": '"[" (json-value (", " json-value)*)? "]"',
    "json-string": r'"\"" json-character* "\""',
    "json-character": r'[^"\\\x00-\x1F] | "\\" ["\\bfnrt]',
    "json-integer": '"0" | "-"? [1-9] [0-9]{0,14}',
    "json-number": '"-"? ("0" | [1-9] [0-9]{0,14}) ("." [0-9]{1,15})? ([eE] ("+" | "-")? [0-9]{1,2})?',
    "json-boolean": '"true" | "false"',
    "json-null": '"null"',
    "json-date": f'"\\"" {_DATE} "\\""',
    "json-time": f'"\\"" {_TIME} "\\""',
    "json-date-time": f'"\\"" {_DATE} "T" {_TIME} "\\""',
    "json-uuid": f'"\\"" {_EIGHT} "-" [0-9a-f]{{4}} "-" [0-9a-f]{{4}} "-" [0-9a-f]{{4}} "-" [0-9a-f]{{12}} "\\""',
}
"""What the rules of every schema refer to."""

_FORMATS = ("date", "time", "date-time", "uuid")
_TYPES = ("boolean", "null", "integer", "number", "string", "array", "object")
_ABOUT_OBJECTS = ("properties", "additionalProperties", "required")
_ABOUT_ARRAYS = ("items", "prefixItems")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def literal(text: str) -> str:
    """A text as a grammar writes it; nothing for none."""
    escaped = "".join(_ESCAPES.get(each, each if each >= " " else f"\\x{ord(each):02X}") for each in text)
    return f'"{escaped}"' if text else ""


def grammar_text(rules: Mapping[str, str]) -> str:
    """Rules as the text of a grammar."""
    return "\n".join(f"{name} ::= {rule}" for name, rule in rules.items())


class SchemaRules:
    """The rules of one schema, whose names begin with `prefix`. `root` refers to the schema as a whole.

    Raises GbnfError for what no grammar can follow, and RecursionError for a schema that is nested too deeply.
    """

    def __init__(self, schema: object, prefix: str) -> None:
        self.rules: dict[str, str] = {}
        self._schema = schema
        self._prefix = prefix
        self._references: dict[str, str] = {}
        self._places = 0
        self.root = self._visit(schema)

    def _rule(self, text: str) -> str:
        name = self._reserve()
        self.rules[name] = text
        return name

    def _reserve(self) -> str:
        name = f"{self._prefix}-{len(self.rules)}"
        self.rules[name] = ""
        return name

    def _visit(self, schema: object) -> str:
        """The name of the rule for a schema."""
        self._places += 1
        if self._places > MAX_PLACES:
            raise GbnfError("the schema is too entangled to become a grammar")
        if schema is True or schema == {}:
            return "json-value"
        if not isinstance(schema, dict):
            raise GbnfError(f"{json.dumps(schema)[:60]} stands where a schema should")
        if isinstance(reference := schema.get("$ref"), str):
            return self._refer(reference)
        if "const" in schema:
            return self._one_of_values([schema["const"]])
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return self._one_of_values(schema["enum"])
        if isinstance(schema.get("allOf"), list):
            return self._visit(self._merged(schema))
        if not _any(schema, _ABOUT_OBJECTS):
            for key in ("anyOf", "oneOf"):
                if isinstance(schema.get(key), list) and schema[key]:
                    return self._one_of(schema[key])
        return self._typed(schema)

    def _typed(self, schema: dict[str, Any]) -> str:
        kind = schema.get("type")
        if isinstance(kind, list) and kind:
            return self._one_of([{**schema, "type": each} for each in kind])
        if kind is None:
            about = (("object", _ABOUT_OBJECTS), ("array", _ABOUT_ARRAYS))
            kind = next((name for name, keys in about if _any(schema, keys)), None)
        match kind:
            case "object":
                return self._object(schema)
            case "array":
                return self._array(schema)
            case "string":
                return self._string(schema)
            case None:
                return "json-value"
            case _ if kind in _TYPES:
                return f"json-{kind}"
        raise GbnfError(f"{json.dumps(kind)[:60]} is no type of JSON")

    def _one_of(self, schemas: Iterable[object]) -> str:
        return self._rule(" | ".join(self._visit(schema) for schema in schemas))

    def _one_of_values(self, values: Iterable[object]) -> str:
        return self._rule(" | ".join(literal(json.dumps(value, ensure_ascii=False)) for value in values))

    def _refer(self, reference: str) -> str:
        if reference not in self._references:
            self._references[reference] = name = self._reserve()
            self.rules[name] = self._visit(self._find(reference))
        return self._references[reference]

    def _find(self, reference: str) -> object:
        found = self._schema
        steps = reference.removeprefix("#").split("/")[1:] if reference.startswith("#") else [reference]
        for step in steps:
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdecimal() and len(key) < 9 and int(key) < len(found):
                found = found[int(key)]
            else:
                raise GbnfError(f"$ref {reference[:200]} refers to nothing within the schema")
        return found

    def _merged(self, schema: dict[str, Any]) -> dict[str, Any]:
        """A schema and those of its `allOf` as one."""
        merged = {key: value for key, value in schema.items() if key != "allOf"}
        for part in schema["allOf"]:
            self._places += 1
            if self._places > MAX_PLACES:
                raise GbnfError("the schema is too entangled to become a grammar")
            found = part
            if isinstance(part, dict) and isinstance(part.get("$ref"), str):
                found = self._find(part["$ref"])
            if not isinstance(found, dict):
                continue
            if isinstance(found.get("allOf"), list):
                found = self._merged(found)
            properties = {**_members(merged), **_members(found)}
            required = [*_names(merged), *_names(found)]
            merged = {**found, **merged}
            if properties:
                merged["properties"] = properties
            if required:
                merged["required"] = required
        return merged

    def _string(self, schema: dict[str, Any]) -> str:
        if schema.get("format") in _FORMATS:
            return f"json-{schema['format']}"
        least, most = _bounds(schema, "minLength", "maxLength")
        if most == 0:
            return self._rule(literal('""'))
        counts = _repeat(least, most)
        return "json-string" if counts == "*" else self._rule(f'"\\"" json-character{counts} "\\""')

    def _array(self, schema: dict[str, Any]) -> str:
        first = schema.get("prefixItems")
        if isinstance(first, list) and first:
            return self._rule('"[" ' + ' ", " '.join(self._visit(item) for item in first) + ' "]"')
        items = schema.get("items", True)
        if isinstance(items, list):
            return self._array({**schema, "prefixItems": items, "items": True})
        item = self._visit(items)
        least, most = _bounds(schema, "minItems", "maxItems")
        if most == 0:
            return self._rule('"[]"')
        more = _repeat(max(0, least - 1), None if most is None else most - 1)
        inside = f'{item} (", " {item}){more}' if more != "{0}" else item
        return self._rule(f'"[" {inside} "]"' if least else f'"[" ({inside})? "]"')

    def _object(self, schema: dict[str, Any]) -> str:
        properties, required = _members(schema), set(_names(schema))
        properties = {**properties, **{name: True for name in _names(schema) if name not in properties}}
        additional = schema.get("additionalProperties", True)
        if not properties:
            if additional is False or (additional is True and "properties" in schema):
                return self._rule('"{}"')
            return "json-object" if additional is True else self._map(additional)
        members = [(name in required, self._member(name, value)) for name, value in properties.items()]
        return self._rule(f'"{{" {self._members(members)} "}}"')

    def _map(self, value: object) -> str:
        member = self._rule(f'json-string ": " {self._visit(value)}')
        return self._rule(f'"{{" ({member} (", " {member})*)? "}}"')

    def _member(self, name: str, value: object) -> str:
        key = json.dumps(name, ensure_ascii=False)
        return self._rule(f"{literal(key + ': ')} {self._visit(value)}")

    def _members(self, members: Sequence[tuple[bool, str]]) -> str:
        """The name of the rule for members in their order, of which those that are not required may be missing.

        Two rules a member, one for when none stands before it, so that their number stays linear.
        """
        after = first = self._rule('""')
        for is_required, member in reversed(members):
            beginning = f"{member} {after}" if is_required else f"{member} {after} | {first}"
            going_on = f'", " {member} {after}' if is_required else f'(", " {member})? {after}'
            first, after = self._rule(beginning), self._rule(going_on)
        return first


def _any(schema: Mapping[str, object], keys: Iterable[str]) -> bool:
    return any(key in schema for key in keys)


def _members(schema: Mapping[str, Any]) -> dict[str, object]:
    properties = schema.get("properties")
    return properties if isinstance(properties, dict) else {}


def _names(schema: Mapping[str, Any]) -> list[str]:
    required = schema.get("required")
    return [name for name in required if isinstance(name, str)] if isinstance(required, list) else []


def _bounds(schema: Mapping[str, Any], least: str, most: str) -> tuple[int, int | None]:
    low, high = (_count(schema.get(key)) for key in (least, most))
    return low or 0, high if high is None or high >= (low or 0) else low


def _count(value: object) -> int | None:
    """A count, if it is one that a grammar should say."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT else None


def _repeat(least: int, most: int | None) -> str:
    if most is None:
        return f"{{{least},}}" if least else "*"
    return f"{{{least}}}" if least == most else f"{{{least},{most}}}"
