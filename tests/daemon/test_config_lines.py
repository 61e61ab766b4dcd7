"""The lines of a TOML file's keys, in TOML as nasty as it gets."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erllama_daemon.config.lines import key_lines
from erllama_daemon.config.literal import quoted

NASTY = '''\
# [cache] = { not = "this" }
title = "a # no comment, [no] {table} = \\" \\\\" # but this
multi = """
[models.no]
key = 1 \\
""\\"""" # """ within
'after' = \'\'\'
x = 1
\'\'\'
many = [ 1, "]", # ]
  { inner = 2 }, [
  "}" ] ]
quotes = """a"""""
literal = 'C:\\'
dates = [1979-05-27T07:32:00.5Z, 1.5]

[ models . "a.b]" . 'c d' ] # [x]
k.l = { m = { n = "}" , o = [ { p = 1 } ] } , "q\\u0041" = 3 }
"" = 1\r
[[list]]
z = 1
[[list]]
z = 2
[list.sub]
'''


def test_every_key_has_the_line_where_it_stands() -> None:
    tomllib.loads(NASTY)
    model = ("models", "a.b]", "c d")
    assert key_lines(NASTY) == {
        ("title",): 2,
        ("multi",): 3,
        ("after",): 7,
        ("many",): 10,
        ("quotes",): 13,
        ("literal",): 14,
        ("dates",): 15,
        ("models",): 17,
        model[:2]: 17,
        model: 17,
        (*model, "k"): 18,
        (*model, "k", "l"): 18,
        (*model, "k", "l", "m"): 18,
        (*model, "k", "l", "m", "n"): 18,
        (*model, "k", "l", "m", "o"): 18,
        (*model, "k", "l", "qA"): 18,
        (*model, ""): 19,
        ("list",): 20,
        ("list", "z"): 21,
        ("list", "sub"): 24,
    }


@pytest.mark.parametrize("text", ["", "\n\n", "# only\n", "a = 1", "[a]"])
def test_little_is_no_trouble(text: str) -> None:
    assert key_lines(text) == ({} if "a" not in text else {("a",): 1})


TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
LITERALS = st.sampled_from(
    [
        "1",
        "[\n# ]\n1,\n]",
        "'''\na = 1\n'''",
        '"""\n[t]\n\\""""',
        '"#"',
        "'\"'",
        "{ a = [1, 2], \"=\" = '}' }",
        "{}",
        "2020-01-01",
        '[{ a = "]" }, []]',
    ]
)
NOISE = st.sampled_from(["", " # x = 1", "\t# [t] '''", "\n", '\n# """\n\n'])


@given(st.dictionaries(TEXTS, st.tuples(LITERALS, NOISE), max_size=6))
def test_whatever_comes_between_each_key_has_its_line(written: dict[str, tuple[str, str]]) -> None:
    text, lines = "[t]\n", {}
    for name, (literal, noise) in written.items():
        lines[name] = text.count("\n") + 1
        text += f"{quoted(name)} = {literal}{noise}\n"
    assert set(tomllib.loads(text)["t"]) == set(written)
    found = key_lines(text)
    assert {path[1]: line for path, line in found.items() if len(path) == 2} == lines
