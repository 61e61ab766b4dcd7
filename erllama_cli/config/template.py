"""A file to begin with: every key that there is, as a comment."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from erllama_daemon.config.key import NAME, Key, Path, Table, all_keys, dotted
from erllama_daemon.config.literal import as_toml

_WIDTH = 78


def template() -> str:
    """Valid TOML that sets nothing."""
    head = "The configuration of erllama. What begins with # is not set; take the # away to set it."
    return "\n".join([*_comment(head), *_table((), all_keys())]) + "\n"


def _table(path: Path, table: Table) -> Iterator[str]:
    """The keys of a table under its name, and then the tables in it."""
    here = [each for each in table.values() if isinstance(each, Key)]
    if here:
        yield ""
        yield from _comment(table.summary)
        # A table without keys sets nothing, but a model's is there.
        yield f"{'# ' if NAME in path else ''}[{dotted(path)}]"
        for key in here:
            yield from _comment(f"{key.summary} Default: {key.default_words}.")
            yield f"# {dotted(key.path[-1:])} = {as_toml(_example(key))}"
    for name, each in table.items():
        if isinstance(each, Table):
            yield from _table((*path, name), each)


def _example(key: Key) -> object:
    return (
        key.examples[0]
        if key.default is None and key.examples
        else key.kind.written(key.default or key.kind.choices[0])
    )


def _comment(text: str) -> list[str]:
    return [f"## {line}" for line in wrap(text, _WIDTH - len("## "), break_on_hyphens=False)] if text else []
