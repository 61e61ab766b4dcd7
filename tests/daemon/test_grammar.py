from __future__ import annotations

import json

import pytest

from erllama_daemon.errors import GrammarInvalid, JsonSchemaInvalid, RequestInvalid
from erllama_daemon.llama import grammar as llama_grammar
from erllama_daemon.llama.grammar import MAX_GRAMMAR_BYTES, MAX_SCHEMA_BYTES, grammar_of
from erllama_daemon.messages import Sampling

GRAMMAR = r"""
# a list of llamas, as a poem
root   ::= line+ ("the" ws "end")? [^\]\x00-\x1f]*
line   ::= ("-" | "*"){1,3} ws name ","?   # one llama
           "\n"
name   ::= [A-Zäöü] [a-z]{2,} |
           "\"" . "\u00e9" "\""
ws     ::= [ \t]*
"""


def of_schema(schema: object) -> str | None:
    return grammar_of(Sampling(json_schema=schema if isinstance(schema, str) else json.dumps(schema)))


def test_a_grammar_is_taken_as_it_is() -> None:
    assert grammar_of(Sampling(grammar="root ::= (([a-z]? )* )*")) is not None
    folded = GRAMMAR.replace('llama\n           "', 'llama "').replace("  # one llama", "")
    assert grammar_of(Sampling(grammar=folded)) == folded


def test_no_grammar_is_none() -> None:
    assert grammar_of(Sampling()) is None


def test_a_grammar_and_a_schema_together_are_refused() -> None:
    with pytest.raises(RequestInvalid):
        grammar_of(Sampling(grammar='root ::= "a"', json_schema="{}"))


@pytest.mark.parametrize(
    ("grammar", "reason"),
    [
        ("", "no rule named root"),
        ("# nothing", "no rule named root"),
        ('start ::= "a"', "no rule named root"),
        ("root ::= llama", "root uses llama, which is not defined"),
        ('root ::= "a"\nb ::= "', "line 2: cannot read"),
        ('root ::= "\\q"', "cannot read"),
        ("root ::= [a-", "cannot read"),
        ('root ::= ("a"', "never closed"),
        ('root ::= "a")', "closes nothing"),
        ("root ::= *", "nothing before"),
        ("root ::= <[7]>", "names a token"),
        ("root ::= !<think> .", "names a token"),
        ('root ::= "a" ""*', "nothing before"),
        ('root ::= "a"\n "b"', "line 2: expected a rule"),
        ('root ::= "a"{5,3}', "ends before it begins"),
        ('root ::= "a"{5,30000}', "more than 2,000 times"),
        ('root ::= "a"{99999999999999999999}', "more than 2,000 times"),
        ('root ::= root "a" | "b"', "left recursion"),
        ('root ::= a root "x" | "y"\na ::= b\nb ::= ""', "left recursion"),
        ("root ::= " + "(" * 2000 + '"a"' + ")" * 2000, "nest more than"),
        ('root ::= "' + "a" * 100_000 + '"{2000}', "more than 400,000 elements"),
        ("root ::= " + '"a"{2000} ' * 3000, "more than 400,000 elements"),
        ("root ::= " + " | ".join(['"a"'] * 20_000), "more than 2,000 ways"),
        ("root ::= " + '("a"?){2000} ' * 20, "more than 2,000 ways"),
        ("root ::= r0\n" + "\n".join(f'r{i} ::= r{i + 1} | r{i + 1} "b"' for i in range(40)) + '\nr40 ::= "a"', "ways"),
        ("root ::= r0\n" + "\n".join(f"r{i} ::= r{i + 1}" for i in range(9000)) + '\nr9000 ::= "a"', "deep"),
        ("root ::= " + '"a"? ' * 100 + '"b"', "leaves out too much"),
        ('root ::= "a\0b"', "NUL"),
        ('root ::= "\ud800"', "surrogate"),
        ('root ::= "' + "a" * MAX_GRAMMAR_BYTES + '"', "limit is 262,144"),
    ],
)
def test_a_grammar_that_llama_cpp_would_not_survive_is_refused(grammar: str, reason: str) -> None:
    with pytest.raises(GrammarInvalid, match=reason):
        grammar_of(Sampling(grammar=grammar))


def test_definitions_may_refer_to_each_other_and_be_called_anything() -> None:
    grammar = of_schema(
        {
            "definitions": {"string": {"type": "integer"}, "a/b": {"$ref": "#"}},
            "$defs": {
                "tree_node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/tree_node"}}},
                "string": {"const": 7},
            },
            "type": "object",
            "properties": {
                "one": {"$ref": "#/definitions/string"},
                "two": {"$ref": "#/$defs/string"},
                "tree": {"$ref": "#/$defs/tree_node"},
                "root": {"$ref": "#/definitions/a~1b"},
                "any": True,
            },
        }
    )
    assert grammar is not None
    assert 'definition-1-of-schema ::= "7"' in grammar
    assert 'one-kv ::= "\\"one\\"" space ":" space one' in grammar


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ("{", "not JSON"),
        ("7", "not a JSON object"),
        ("false", "not a JSON object"),
        ({"$ref": "https://example.com/schema.json"}, "not within the schema"),
        ({"items": {"$ref": "other.json#/a"}}, "not within the schema"),
        ({"$ref": "#/nowhere"}, "refers to nothing"),
        ({"$ref": 7}, "not within the schema"),
        ({"type": "llama"}, "Unrecognized schema"),
        ({"type": "string", "pattern": "a"}, "Pattern must start"),
        ({"type": "string", "pattern": "^a{1000000000}$"}, "repeats more than 900 times"),
        ({"type": "string", "minLength": 10**9}, "minLength of the schema is not between"),
        ({"type": "array", "items": {}, "maxItems": 10**9}, "maxItems of the schema is not between"),
        ("[" * 30_000 + "]" * 30_000, "nested too deeply"),
        ({"anyOf": 7}, "iterable"),
        (" " * MAX_SCHEMA_BYTES + "{}", "limit is 65,536"),
    ],
)
def test_a_schema_that_cannot_be_followed_is_named(schema: object, reason: str) -> None:
    with pytest.raises(JsonSchemaInvalid, match=reason):
        of_schema(schema)


def test_definitions_that_use_each_other_twice_do_not_take_for_ever() -> None:
    definitions = {
        f"level_{i}": {"type": "array", "prefixItems": [{"$ref": f"#/$defs/level_{i + 1}"}] * 2} for i in range(40)
    }
    schema = {"$defs": {**definitions, "level_40": {"type": "null"}}, "$ref": "#/$defs/level_0"}
    assert of_schema(schema) is not None


def test_a_schema_that_takes_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_grammar, "CONVERSION_SECONDS", 0.05)
    with pytest.raises(JsonSchemaInvalid, match="too entangled"):
        of_schema({"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(900)}})


def test_any_value_may_be_anything() -> None:
    grammar = of_schema("{}")
    assert grammar is not None
    assert "root ::= object | array | string | number | boolean | null" in grammar
