"""One key of the file is changed, and all else stays as its owner wrote it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erllama_cli.config.document import with_key, without_key
from erllama_cli.config.template import template
from erllama_daemon.config.key import NAME, Key, keys
from erllama_daemon.config.settings import settings_of
from erllama_daemon.config.tables import Config

HAND_MADE = """\
# mine
[cache] # the cache
ram_bytes = "1 GiB"   # why
# after

disk_bytes = "a" # not valid, but TOML

[models."/a b.gguf".load]
ctx = 1
[policy]
min_tokens = 3

[models]
b = { load = { ctx = 2 }, policy.min_tokens = 1 } # in line
# the end
"""


def at(text: str, path: tuple[str, ...]) -> object:
    found: object = tomllib.loads(text)
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def comments(text: str) -> list[str]:
    """What follows a blank and a # or is a line of it; the texts that are set hold none."""
    return [found[0] for found in re.finditer(r"(?m)(?:^|(?<= ))#.*$", text)]


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="#"), min_size=1, max_size=12).filter(
    lambda text: text.strip() != ""
)
PATHS = st.builds(
    lambda key, name: (tuple(name if part == NAME else part for part in key.path), key), st.sampled_from(keys()), TEXTS
)


def values_of(key: Key) -> st.SearchStrategy[object]:
    if key.kind.type is str and not key.kind.choices:
        return TEXTS
    return st.sampled_from([*key.examples, *key.kind.choices] or [True, False])


@given(PATHS, st.data(), st.sampled_from(["", HAND_MADE, template(), "models = {}\n", "[models.x]\n"]))
def test_what_is_set_is_what_is_read_and_what_is_taken_out_again_is_gone(
    path_and_key: tuple[tuple[str, ...], Key], data: st.DataObject, text: str
) -> None:
    path, key = path_and_key
    value = data.draw(values_of(key))
    after = with_key(text, path, value)
    assert at(after, path) == value
    assert [each for each in comments(after) if each in comments(text)] == comments(text)
    without = without_key(after, path)
    assert without is not None
    assert at(without, path) is None
    assert comments(without) == comments(text)


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        (("cache", "ram_bytes"), "2 GiB", 'ram_bytes = "2 GiB"   # why'),
        (("models", "/a b.gguf", "load", "threads"), 3, "threads = 3"),
        (("models", "b", "load", "ctx"), 3, "b = { load = { ctx = 3 }, policy.min_tokens = 1 } # in line"),
    ],
)
def test_only_the_line_of_the_key_is_different(path: tuple[str, ...], value: object, line: str) -> None:
    before, after = HAND_MADE.splitlines(), with_key(HAND_MADE, path, value).splitlines()
    assert line in after
    assert [each for each in after if each not in before] == [line]
    assert len(before) - len([each for each in before if each in after]) <= 1


def test_a_table_that_nothing_is_left_of_goes_with_its_last_key_but_not_its_comment() -> None:
    text = "[policy]\nmin_tokens = 3\n\n[cache]\n# mine\nram_bytes = 1\n"
    assert without_key(text, ("policy", "min_tokens")) == "[cache]\n# mine\nram_bytes = 1\n"
    assert without_key(text, ("cache", "ram_bytes")) == "[policy]\nmin_tokens = 3\n\n[cache]\n# mine\n"
    assert without_key(text, ("cache", "disk_bytes")) is None
    assert without_key(text, ("models", "demo")) is None


def test_the_template_sets_nothing_and_says_all() -> None:
    settings = settings_of(Path("config.toml"), template().encode())
    assert settings.config == Config()
    every = "\n".join(
        line.removeprefix("# ") if line.startswith("# ") else line
        for line in template().splitlines()
        if not line.startswith("##")
    )
    assert {given.key.name for given in settings_of(Path("config.toml"), every.encode()).given.values()} == {
        key.name for key in keys()
    }
