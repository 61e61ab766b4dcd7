"""What the rules of a GBNF grammar are made of."""

from __future__ import annotations

from dataclasses import dataclass

MAX_NESTING = 1000
"""How deep parentheses may nest, and rules may begin with each other."""


class GbnfError(Exception):
    """A grammar is wrong or too much; the message says where and why."""


@dataclass(slots=True)
class Element:
    """A part of a sequence: a reference to a `rule`, or characters.

    `size` is how many elements llama.cpp makes of it; `is_optional` says that it may be left out. It is written
    `copies` times, and with `has_optional_copies` each of them may be left out.
    """

    rule: str | None = None
    size: int = 1
    is_optional: bool = False
    copies: int = 1
    has_optional_copies: bool = False


Rules = dict[str, list[list[Element]]]
"""The alternatives of each rule, each a sequence of elements."""


def shown(name: str) -> str:
    """A rule's name; that of a group says in which rule it is."""
    rule, mark, _number = name.partition("(")
    return f"(...) in {rule}" if mark else rule
