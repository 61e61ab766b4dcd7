"""What an answer has to follow: a GBNF grammar, given as it is or as a JSON schema."""

from __future__ import annotations

import json
import re
from typing import Any

from erllama_daemon.deadline import DeadlineExceeded, deadline
from erllama_daemon.errors import GrammarInvalid, JsonSchemaInvalid, RequestInvalid
from erllama_daemon.grammar.gbnf import check_gbnf
from erllama_daemon.grammar.rule import GbnfError
from erllama_daemon.messages import Sampling
from erllama_daemon.messages.limits import GRAMMAR_BYTES_LIMIT, JSON_SCHEMA_BYTES_LIMIT

MAX_GRAMMAR_BYTES = GRAMMAR_BYTES_LIMIT
MAX_SCHEMA_BYTES = JSON_SCHEMA_BYTES_LIMIT

MAX_COUNT = 900
"""The largest minimum or maximum in a schema: each becomes that many nested groups."""

CONVERSION_SECONDS = 2.0
"""How long turning a schema into a grammar may take; a hostile one would take years."""

_COUNTS = ("minItems", "maxItems", "minLength", "maxLength")
_REPEATS = re.compile(r"[0-9]+(?=[0-9, ]*\})")
_LISTS_OF_SCHEMAS = ("anyOf", "oneOf", "allOf", "prefixItems")
_ANY_VALUE = {"type": "value"}  # the converter's own name; it would take {} for an object


def grammar_of(sampling: Sampling) -> str | None:
    """The grammar that a request asks for, checked; None if it asks for none.

    Touches no model, so it can be called before anything runs. Raises RequestInvalid if both a grammar and a schema
    are given, GrammarInvalid and JsonSchemaInvalid.
    """
    if sampling.grammar is not None and sampling.json_schema is not None:
        raise RequestInvalid(reason="it has both a grammar and a JSON schema")
    try:
        if sampling.grammar is not None:
            return _checked(sampling.grammar)
        if sampling.json_schema is not None:
            return _checked(_from_json_schema(sampling.json_schema))
    except GbnfError as error:
        raise refusal(sampling, str(error)) from error
    return None


def refusal(sampling: Sampling, reason: str) -> GrammarInvalid | JsonSchemaInvalid:
    """The error for what the request gave: its grammar, or the schema that became one."""
    return JsonSchemaInvalid(reason=reason) if sampling.grammar is None else GrammarInvalid(reason=reason)


def _checked(grammar: str) -> str:
    size = len(_encoded(grammar))
    if size > MAX_GRAMMAR_BYTES:
        raise GbnfError(f"the grammar has {size:,} bytes; the limit is {MAX_GRAMMAR_BYTES:,}")
    if "\0" in grammar:
        raise GbnfError("the grammar has a NUL character")
    check_gbnf(grammar)
    return grammar


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise GbnfError("it has characters that UTF-8 cannot write (half of a surrogate pair)") from error


def _from_json_schema(text: str) -> str:
    size = len(_encoded(text))
    if size > MAX_SCHEMA_BYTES:
        raise JsonSchemaInvalid(reason=f"it has {size:,} bytes; the limit is {MAX_SCHEMA_BYTES:,}")
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    try:
        with deadline(CONVERSION_SECONDS):
            schema = _Definitions(json.loads(text)).gathered()
            converted: str = json_schema_to_gbnf(json.dumps(schema))
    except (GbnfError, JsonSchemaInvalid):
        raise
    except DeadlineExceeded:
        raise JsonSchemaInvalid(reason="it is too entangled to become a grammar") from None
    except json.JSONDecodeError as error:
        raise JsonSchemaInvalid(reason=f"it is not JSON: {error}") from error
    except RecursionError as error:
        raise JsonSchemaInvalid(reason="it is nested too deeply, or has too many optional properties") from error
    except KeyError as error:
        raise JsonSchemaInvalid(reason=f"it lacks {error}") from error
    except Exception as error:
        raise JsonSchemaInvalid(reason=str(error)[:300] or type(error).__name__) from error
    return converted


def _check_counts(schema: dict[str, Any], place: str) -> None:
    for name in _COUNTS:
        count = schema.get(name, 0)
        if not isinstance(count, int) or not 0 <= count <= MAX_COUNT:
            raise JsonSchemaInvalid(reason=f"{name} of {place} is not between 0 and {MAX_COUNT}")
    repeats = _REPEATS.findall(str(schema.get("pattern", "")))
    if any(len(repeat) > 9 or int(repeat) > MAX_COUNT for repeat in repeats):
        raise JsonSchemaInvalid(reason=f"the pattern of {place} repeats more than {MAX_COUNT} times")


class _Definitions:
    """Rewrites a schema so that the converter understands every reference.

    The converter names a rule after the last word of a reference: it would mix up two definitions of one name or one
    that is called like its own rules, get lost in `_` and in escapes, and refuse `#`. So each definition moves to a
    name of its own. Nothing outside the schema is ever referred to.
    """

    def __init__(self, schema: object) -> None:
        self._schema = schema
        self._names: dict[str, str] = {}
        self._definitions: dict[str, object] = {}

    def gathered(self) -> dict[str, object]:
        """The schema as an object with its definitions under names that need no escape."""
        rewritten = self._rewrite(self._schema, "the schema")
        if "$ref" in rewritten:
            rewritten = {"anyOf": [rewritten]}  # the converter does not look for definitions beside a reference
        return {**rewritten, "$defs": self._definitions} if self._definitions else rewritten

    def _rewrite(self, schema: object, place: str) -> dict[str, Any]:
        if schema is True or schema == {}:
            return dict(_ANY_VALUE)
        if not isinstance(schema, dict):
            raise JsonSchemaInvalid(reason=f"{place} is {json.dumps(schema)[:60]}, not a JSON object")
        if "$ref" in schema:
            return {"$ref": self._definition(schema["$ref"])}
        _check_counts(schema, place)
        rewritten = {key: value for key, value in schema.items() if key not in ("$defs", "definitions")}
        if isinstance(rewritten.get("properties"), dict):
            rewritten["properties"] = {
                name: self._rewrite(value, f"property {name}") for name, value in rewritten["properties"].items()
            }
        for key in _LISTS_OF_SCHEMAS:
            if isinstance(rewritten.get(key), list):
                rewritten[key] = [self._rewrite(value, f"an entry of {key}") for value in rewritten[key]]
        if isinstance(rewritten.get("items"), list):
            rewritten["items"] = [self._rewrite(value, "an entry of items") for value in rewritten["items"]]
        elif "items" in rewritten:
            rewritten["items"] = self._rewrite(rewritten["items"], "items")
        if isinstance(rewritten.get("additionalProperties"), dict):
            rewritten["additionalProperties"] = self._rewrite(rewritten["additionalProperties"], "additionalProperties")
        return rewritten

    def _definition(self, reference: object) -> str:
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise JsonSchemaInvalid(reason=f"$ref {json.dumps(reference)[:200]} is not within the schema (#/...)")
        if reference not in self._names:
            self._names[reference] = name = f"definition-{len(self._names)}-of-schema"
            self._definitions[name] = self._rewrite(self._find(reference), reference[:200])
        return f"#/$defs/{self._names[reference]}"

    def _find(self, reference: str) -> object:
        found = self._schema
        for step in reference.removeprefix("#").split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            else:
                raise JsonSchemaInvalid(reason=f"$ref {reference[:200]} refers to nothing")
        return found
