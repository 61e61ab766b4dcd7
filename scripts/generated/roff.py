"""What a man page is written in: man(7) macros with text that troff prints as it stands.

Fonts are changed within the text, never by macros with arguments, so that no quote can end one.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterable, Iterator

_LITERAL = {"\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti"}
_WIDTH = 78

# What is to be typed as it stands: between backticks, or an option.
_CODE = r"`(?P<code>[^`]+)`|(?<![\w-])(?P<option>--?[a-z][\w-]*)"
_PAGE = r"(?P<page>\berllama[a-z-]*)\((?P<number>\d)\)"
_HYPHEN = re.compile(r"(?<=\w)-(?=\w)")


def literal(text: str) -> str:
    """`text` letter by letter: what is copied from the page can be typed."""
    return "".join(_LITERAL.get(letter, _named(letter)) for letter in text)


def prose(text: str) -> str:
    """Running text, where hyphens and apostrophes are typeset as such."""
    kept = _HYPHEN.sub("\0", text)
    escaped = "".join(letter if letter == "'" else _LITERAL.get(letter, _named(letter)) for letter in kept)
    return escaped.replace("\0", "-")


def bold(text: str) -> str:
    """`text` as it has to be typed: no word of it is hyphenated, and lines break only at spaces and slashes."""
    whole_words = " ".join("\\%" + literal(word).replace("/", "/\\:") for word in text.split(" "))
    return f"\\fB{whole_words}\\fR"


def italic(text: str) -> str:
    """`text` as what stands for something else."""
    return f"\\fI{literal(text)}\\fR"


def marked(text: str, variables: Collection[str] = ()) -> str:
    """Running text with what is to be typed in bold, and `variables` in italics."""
    names = "|".join(map(re.escape, sorted(variables, key=len, reverse=True)))
    pattern = re.compile(rf"{_CODE}|{_PAGE}" + (rf"|(?<!\w)(?P<variable>{names})(?!\w)" if names else ""))
    parts, end = [], 0
    for found in pattern.finditer(text):
        parts.append(prose(text[end : found.start()]))
        groups = found.groupdict()
        if groups["page"]:
            parts.append(f"{bold(groups['page'])}({groups['number']})")
        elif groups.get("variable"):
            parts.append(italic(groups["variable"]))
        else:
            parts.append(bold(groups["code"] or groups["option"]))
        end = found.end()
    return "".join([*parts, prose(text[end:])])


def syntax(text: str) -> str:
    """How something is called: capitals stand for something else, small letters for themselves. Lines break at bars."""
    return re.sub(r"\w+|\W+", lambda found: _word(found[0]).replace("|", "|\\:"), text)


def lines(text: str) -> Iterator[str]:
    """Marked text as lines of the page, none of which troff takes for a macro."""
    for line in textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False):
        yield _guarded(line)


def section(title: str, *content: str) -> list[str]:
    """A section under its title; none if it has no content."""
    return headed(f".SH {title}", content) if content else []


def headed(heading: str, content: Iterable[str]) -> list[str]:
    """Content below a heading, which begins a paragraph by itself."""
    rows = list(content)
    return [heading, *(rows[1:] if rows[:1] == [".PP"] else rows)]


def paragraph(text: str) -> list[str]:
    """A paragraph of marked text."""
    return [".PP", *lines(text)]


def entries(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Terms and what they mean, both marked."""
    for term, meaning in pairs:
        yield ".TP"
        yield _guarded(term)
        yield from lines(meaning)


def example(shown: Iterable[str]) -> list[str]:
    """Lines that are typed, as they stand."""
    return [".PP", ".RS 4", ".EX", *(_guarded(literal(line)) for line in shown), ".EE", ".RE"]


def _word(text: str) -> str:
    return italic(text) if text.isupper() else bold(text) if text[:1].isalnum() else literal(text)


def _named(letter: str) -> str:
    return letter if letter.isascii() else f"\\[u{ord(letter):04X}]"


def _guarded(line: str) -> str:
    return f"\\&{line}" if line[:1] in (".", "'") else line
