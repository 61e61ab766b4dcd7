"""How the keys are listed: for people, in the width that there is."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from textwrap import wrap

from erllama_cli.config.origin import told_origin
from erllama_cli.drawing.screen import can_draw, may_colour
from erllama_cli.one_line import broken_at_words, columns, cut, line_width, one_line
from erllama_cli.results.config import ShownConfig, ShownSetting
from erllama_daemon.config.key import NAME, keys
from erllama_daemon.messages import Setting

_GAP = "  "
_LEAST_VALUE = 8
_OF_THE_FILE = ("file", "default")
"""Where a value comes from that another text of the file can change."""


def print_listing(shown: ShownConfig, *, every: bool) -> None:
    """The file, and each key in a line or two, with what it is for below; then what has no effect, on stderr."""
    width = line_width()
    print(shown.path if shown.exists else f"{shown.path} (not there yet)")
    settings = [*shown.settings, *(_pattern_rows() if every else ())]
    layout = _Layout(settings, width)
    for _table, group in groupby(settings, key=lambda setting: setting.key.partition(".")[0]):
        print()
        for setting in group:
            print("\n".join(layout.lines(setting, every=every)))
    for warning in shown.warnings:
        print(broken_at_words(one_line(warning), width), file=sys.stderr)


class _Layout:
    """Three columns where they fit, or else one below the other."""

    def __init__(self, settings: Sequence[ShownSetting], width: int) -> None:
        self._width = width
        self._key = max(columns(setting.key) for setting in settings)
        origin = max(len(told_origin(setting)) for setting in settings)
        self._value = min(
            max(columns(_value(setting)) for setting in settings), width - self._key - origin - 2 * len(_GAP)
        )

    def lines(self, setting: ShownSetting, *, every: bool) -> Iterator[str]:
        """One key."""
        key, value, origin = setting.key, _value(setting), told_origin(setting)
        if self._value >= _LEAST_VALUE:
            value = cut(value, self._value)
            yield f"{_padded(key, self._key)}{_GAP}{_padded(value, self._value)}{_GAP}{origin}"
        else:
            yield key
            inner = self._width - len(_GAP)
            if columns(value) + len(", ") + len(origin) <= inner:
                yield f"{_GAP}{value}, {origin}"
            else:
                yield f"{_GAP}{cut(value, inner)}"
                yield f"{_GAP}{origin}"
        for text in _remarks(setting, every=every):
            for line in wrap(text, max(self._width - len(_GAP), 1), break_on_hyphens=False, break_long_words=False):
                yield _GAP + _faint(line)


def _remarks(setting: ShownSetting, *, every: bool) -> Iterator[str]:
    is_default = setting.origin == "default"
    yield setting.summary + ("" if is_default else f" Default: {setting.default}.")
    if every and setting.variable is not None:
        yield setting.variable
    if setting.daemon is not None:
        had = setting.daemon
        is_read_again = had.origin in _OF_THE_FILE and setting.origin in _OF_THE_FILE
        origin = "" if had.origin == "file" else f" ({told_origin(had)})"
        yield f"After a {'reload' if is_read_again else 'restart'}: the daemon that runs has {_value(had)}{origin}."


def _value(setting: Setting) -> str:
    return one_line(setting.default if setting.written is None else setting.written) or '""'


def _pattern_rows() -> Iterator[ShownSetting]:
    """The keys that hold a name, as they are written."""
    for key in keys():
        if NAME in key.path:
            yield ShownSetting(
                key=key.name,
                written=None,
                value=None,
                default=key.default_words,
                origin="default",
                line=None,
                variable=None,
                summary=key.summary,
            )


def _padded(text: str, width: int) -> str:
    return text + " " * (width - columns(text))


def _faint(text: str) -> str:
    return f"\x1b[2m{text}\x1b[0m" if may_colour() and can_draw(sys.stdout) else text
