from __future__ import annotations

import json
from random import Random
from typing import Any

import jsonschema
import pytest
from daemon.gbnf_words import Words
from hypothesis import given, settings
from hypothesis import strategies as st

from erllama_daemon.errors import ToolInvalid, ToolsInvalid
from erllama_daemon.grammar.calls import CallGrammar
from erllama_daemon.grammar.gbnf import check_gbnf
from erllama_daemon.messages import ToolCall
from erllama_daemon.tooling.call_format import CALL_FORMATS, HERMES, LLAMA, CallFormat
from erllama_daemon.tooling.call_ids import call_ids
from erllama_daemon.tooling.call_split import CallSplit
from erllama_daemon.tooling.exact_json import exact_json

FORMATS = pytest.mark.parametrize("format_", CALL_FORMATS, ids=lambda each: f"{each.name} {each.opening}")

names = st.text('aé"\\ \n🦙', min_size=1, max_size=3)
scalars = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(["string", "integer", "number", "boolean", "null"])}),
    st.fixed_dictionaries({"type": st.just("string"), "minLength": st.integers(0, 3), "maxLength": st.integers(3, 5)}),
    st.fixed_dictionaries(
        {"type": st.just("string"), "format": st.sampled_from(["date", "time", "uuid", "date-time"])}
    ),
    st.fixed_dictionaries({"enum": st.lists(st.one_of(names, st.integers(), st.none(), st.booleans()), min_size=1)}),
    st.fixed_dictionaries({"const": st.one_of(names, st.lists(names), st.dictionaries(names, st.integers()))}),
    st.fixed_dictionaries({"type": st.lists(st.sampled_from(["string", "null", "object"]), min_size=1, unique=True)}),
    st.just({"$ref": "#/$defs/shared"}),
    st.just({}),
)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(
            lambda items, least, more: {"type": "array", "items": items, "minItems": least, "maxItems": least + more},
            inner,
            st.integers(0, 3),
            st.integers(0, 3),
        ),
        st.fixed_dictionaries({"type": st.just("array"), "prefixItems": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"type": st.just("object"), "additionalProperties": inner}),
        objects(inner),
    )


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    def built(properties: dict[str, Any], required: list[bool], additional: dict[str, Any]) -> dict[str, Any]:
        needed = [name for name, is_required in zip(properties, required, strict=False) if is_required]
        return {"type": "object", "properties": properties, "required": needed, **additional}

    flags = st.lists(st.booleans(), min_size=4, max_size=4)
    return st.builds(
        built, st.dictionaries(names, inner, max_size=4), flags, st.sampled_from([{}, {"additionalProperties": False}])
    )


schemas = objects(st.recursive(scalars, containers, max_leaves=6))


def calls_in(text: str, format_: CallFormat, parameters: dict[str, Any], ids: tuple[str, ...]) -> list[ToolCall]:
    split = CallSplit(format_, parameters, ids)
    said = [*split.add(text), *split.flush()]
    assert said == split.calls, "there is text beside the calls"
    return split.calls


@FORMATS
@settings(max_examples=30)
@given(st.lists(schemas, min_size=1, max_size=3), st.integers(0, 1 << 30))
def test_whatever_the_grammar_accepts_is_calls_whose_arguments_are_valid_and_written_as_templates_do(
    format_: CallFormat, drawn: list[dict[str, Any]], seed: int
) -> None:
    shared = {
        "shared": {"type": "object", "properties": {"again": {"$ref": "#/$defs/shared"}, "n": {"type": "integer"}}}
    }
    parameters = {f"tool_{number}": {**schema, "$defs": shared} for number, schema in enumerate(drawn)}
    ids = call_ids(format_, [1])
    text = Words(CallGrammar(format_, parameters, ids).text(), Random(seed)).draw()
    calls = calls_in(text, format_, parameters, ids)
    assert [call.id for call in calls] == [*ids[: len(calls)]]
    assert format_.write(calls) == text
    for call in calls:
        jsonschema.validate(json.loads(call.arguments), parameters[call.name])
        assert exact_json(call.arguments) == call.arguments


@settings(max_examples=20)
@given(objects(scalars), st.integers(0, 1 << 30))
def test_what_is_left_of_calls_follows_what_is_written(schema: dict[str, Any], seed: int) -> None:
    parameters = {"weather": {**schema, "$defs": {"shared": {"type": "null"}}}}
    grammar = CallGrammar(HERMES, parameters, ["one"])
    for length in range(len("<tool_call>"), len('<tool_call>\n{"name": "') + 1):
        written = '<tool_call>\n{"name": "'[:length]
        rest = grammar.rest(written)
        assert rest is not None
        text = written + Words(rest, Random(seed)).draw()
        assert [call.name for call in calls_in(text, HERMES, parameters, ("one",))] == ["weather"]


def test_calls_that_begin_otherwise_than_the_form_says_have_no_rest() -> None:
    grammar = CallGrammar(HERMES, {"weather": {"type": "object"}}, ["one"])
    assert grammar.rest('<tool_call>{"name') is None
    assert grammar.rest('<tool_call>\n{"name": "w') is None


def test_a_thinking_that_the_prompt_began_is_closed_before_the_calls() -> None:
    grammar = CallGrammar(LLAMA, {"f": {"type": "object", "properties": {}}}, ["one"])
    text = Words(grammar.text("\n</think>\n\n"), Random(1)).draw()
    assert text == '\n</think>\n\n{"name": "f", "parameters": {}}'


LOOSE: dict[str, tuple[dict[str, Any], set[str]]] = {
    "pattern": ({"properties": {"a": {"type": "string", "pattern": "^[^b]*$", "maxLength": 0}}}, {"{}", '{"a": ""}'}),
    "limits": ({"required": ["a"], "properties": {"a": {"enum": [7], "maximum": 6}}}, {'{"a": 7}'}),
    "count": ({"required": ["a"], "properties": {"a": {"items": {}, "minItems": 10**9, "maxItems": 0}}}, {'{"a": []}'}),
    "allOf": (
        {"allOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]}, {"properties": {"b": {"const": 2}}}]},
        {'{"a": 1}', '{"a": 1, "b": 2}'},
    ),
    "condition": ({"properties": {"a": {"const": 1}}, "anyOf": [{"required": ["a"]}]}, {"{}", '{"a": 1}'}),
    "types": (
        {"required": ["a"], "properties": {"a": {"type": ["null", "boolean"]}}},
        {'{"a": null}', '{"a": true}', '{"a": false}'},
    ),
    "both": (
        {"required": ["a"], "properties": {"a": {"type": ["string", "null"], "enum": ["x", None]}}},
        {'{"a": "x"}', '{"a": null}'},
    ),
    "nothing": ({"type": "object", "properties": {}}, {"{}"}),
    "unnamed": ({"type": "object", "required": ["a"], "additionalProperties": False, "properties": {}}, set()),
}


@pytest.mark.parametrize("schema", LOOSE)
def test_what_a_grammar_cannot_say_does_not_stand_in_its_way(schema: str) -> None:
    parameters, expected = {"f": LOOSE[schema][0]}, LOOSE[schema][1]
    grammar = CallGrammar(HERMES, parameters, ["one"]).text()
    drawn = {
        call.arguments
        for seed in range(60)
        for call in calls_in(Words(grammar, Random(seed)).draw(), HERMES, parameters, ("one",))
    }
    assert drawn == expected or (not expected and all('"a": ' in arguments for arguments in drawn))


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def entangled(levels: int) -> dict[str, Any]:
    twice = {f"d{level}": {"allOf": [{"$ref": f"#/$defs/d{level + 1}"}] * 2} for level in range(levels)}
    return {"type": "object", "allOf": [{"$ref": "#/$defs/d0"}], "$defs": {**twice, f"d{levels}": {"type": "object"}}}


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"properties": {"a": {"type": "text"}}}, "no type"),
        ({"properties": {"a": 5}}, "where a schema should"),
        ({"properties": {"a": False}}, "where a schema should"),
        ({"properties": {"a": {"$ref": "#/$defs/b"}}}, "refers to nothing"),
        ({"properties": {"a": {"$ref": "https://example.com/a"}}}, "refers to nothing"),
        (deep(3000), "nested too deeply"),
        (entangled(60), "entangled"),
        ({"type": "object", "allOf": [{"$ref": "#"}]}, "nested too deeply|entangled"),
    ],
    ids=["type", "number", "never", "reference", "elsewhere", "deep", "entangled", "itself"],
)
def test_a_schema_that_no_grammar_can_follow_names_its_tool(schema: dict[str, Any], reason: str) -> None:
    with pytest.raises(ToolInvalid, match=f"tool f is not valid: .*({reason})"):
        CallGrammar(HERMES, {"f": schema}, ["one"])


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {f"p{number}": {} for number in range(3000)}},
        {"properties": {f"p{n}": {"type": "string", "maxLength": 900, "minLength": 900} for n in range(500)}},
        {"properties": {"a": {"$ref": "#/properties/a"}}},
        {"properties": {"a": {"enum": ["x" * 300_000]}}},
    ],
    ids=["wide", "long", "circle", "large"],
)
def test_more_than_llama_cpp_can_be_trusted_with_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ToolsInvalid):
        CallGrammar(HERMES, {"f": schema}, ["one"])


def test_names_with_quotes_and_backslashes_are_written_as_they_are() -> None:
    schema = {"properties": {'a"\\\n\x00é🦙': {"const": '\\"'}}, "required": ['a"\\\n\x00é🦙']}
    grammar = CallGrammar(HERMES, {"f": schema}, ["one"]).text()
    check_gbnf(grammar)
    (call,) = calls_in(Words(grammar, Random(0)).draw(), HERMES, {"f": schema}, ("one",))
    assert json.loads(call.arguments) == {'a"\\\n\x00é🦙': '\\"'}
