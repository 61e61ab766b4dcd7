"""Tells the calls in an answer from its text, however it comes in pieces."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from typing import Any, Literal

from erllama_daemon.messages import ToolCall
from erllama_daemon.tooling.call_format import CallFormat, Trigger

NAME_LENGTH = 64
"""The longest name of a tool, in characters."""

_DECODER = json.JSONDecoder()
_IN_TEXT = re.compile(r'["\\]')
_OUTSIDE = re.compile(r'["{}\[\]]')
_SPACE = re.compile(r"[ \t\r\n]*")

Said = str | ToolCall
_Phase = Literal["text", "opening", "name", "object", "after"]


class CallSplit:
    """Lets the text of an answer through, and the calls in it, each as soon as its arguments are whole.

    Text that may still become a call is held back. What begins like a call and is none, for it is cut off, names no
    tool of `names` or is no JSON, is text like any other. `ids` are taken in order by calls whose text has none.
    """

    def __init__(self, format_: CallFormat, names: Collection[str], ids: Sequence[str]) -> None:
        self._format = format_
        self._names = names
        self._ids = ids
        self._held = ""
        self._position = 0
        self._phase: _Phase = "text"
        self._trigger = format_.triggers[0]
        self._is_bare = True
        self._has_begun = False
        self._follows_call = False
        self._name = ""
        self._object = _ObjectEnd()
        self.calls: list[ToolCall] = []

    @property
    def begun(self) -> str | None:
        """The text of the calls that have begun, up to now, as the model writes it; None if there are none."""
        if not self._has_begun:
            return None
        return self._trigger.written + self._held[len(self._trigger.text) :]

    def add(self, text: str) -> list[Said]:
        """Takes more text; returns what is certain by now."""
        self._held += text
        said: list[Said] = []
        while self._step(said):
            pass
        return [piece for piece in said if piece]

    def flush(self) -> list[Said]:
        """No more text comes: returns the rest."""
        rest, bare = self._held, self._held.strip()
        is_ending = self._phase == "after" and self._format.closing.strip().startswith(bare)
        self._held, self._phase, self._has_begun = "", "text", False
        return [] if is_ending or (self._follows_call and not bare) or not rest else [rest]

    def _step(self, said: list[Said]) -> bool:
        """Goes on by one step; False if that takes more text."""
        match self._phase:
            case "text":
                return self._read_text(said)
            case "opening":
                return self._read_opening(said)
            case "name":
                return self._read_name(said)
            case "object":
                return self._read_object(said)
            case "after":
                return self._read_after()

    def _read_text(self, said: list[Said]) -> bool:
        if self._follows_call:
            self._held = self._held.lstrip()
            if not self._held:
                return False
        found = min(
            ((place, trigger) for trigger in self._format.triggers if (place := self._place(trigger)) >= 0),
            key=lambda each: each[0],
            default=None,
        )
        if found is None:
            said.append(self._take(len(self._held) - self._unfinished()))
            return False
        place, self._trigger = found
        text = self._take(place)
        if not self._trigger.first:
            said.append(text.removesuffix(self._format.separator))
        self._position = 0 if self._trigger.first else len(self._trigger.text)
        self._phase, self._is_bare, self._has_begun = "opening", False, True
        return True

    def _place(self, trigger: Trigger) -> int:
        if not trigger.first:
            return self._held.find(trigger.text)
        bare = self._held.lstrip()
        return len(self._held) - len(bare) if self._is_bare and bare.startswith(trigger.text) else -1

    def _unfinished(self) -> int:
        """How much of the end of the text may become the beginning of a call."""
        longest = 0
        for trigger in self._format.triggers:
            if not trigger.first:
                longest = max(longest, overlap(self._held, trigger.text))
                longest = max(longest, overlap(self._held, self._format.separator + trigger.text))
            elif self._is_bare and trigger.text.startswith(self._held.lstrip()):
                longest = len(self._held)
        return longest

    def _take(self, end: int) -> str:
        taken, self._held = self._held[:end], self._held[end:]
        self._is_bare = self._is_bare and not taken.strip()
        self._follows_call = self._follows_call and not taken
        return taken

    def _read_opening(self, said: list[Said]) -> bool:
        """Reads what is left of it, whatever white space there is."""
        for character in self._format.opening[len(self._trigger.written) :]:
            if character.isspace():
                continue
            self._position = _end_of_space(self._held, self._position)
            if self._position == len(self._held):
                self._position = len(self._trigger.text)  # read from its beginning again: it is short
                return False
            if self._held[self._position] != character:
                return self._give_up(said)
            self._position += 1
        self._phase, self._object = "object" if self._format.head else "name", _ObjectEnd()
        return True

    def _read_name(self, said: list[Said]) -> bool:
        place = self._held.find(self._format.middle, self._position)
        name = self._held[self._position : place if place >= 0 else len(self._held)].strip()
        if place < 0:
            return self._give_up(said) if len(name) > NAME_LENGTH + len(self._format.middle) else False
        self._name, self._position = name, place + len(self._format.middle)
        self._phase, self._object = "object", _ObjectEnd()
        return True

    def _read_object(self, said: list[Said]) -> bool:
        if not self._object.has_begun:
            self._position = _end_of_space(self._held, self._position)
            if self._position == len(self._held):
                return False
            if self._held[self._position] != "{":
                return self._give_up(said)
        end = self._object.find(self._held, self._position)
        if end is None:
            return False
        call, self._has_begun = self._call(self._held[self._position : end]), False
        if call is None:
            said.append(self._take(end))
            self._phase = "text"
            return True
        self.calls.append(call)
        said.append(call)
        self._held, self._position, self._phase = self._held[end:], 0, "after"
        return True

    def _read_after(self) -> bool:
        """What follows a call: another one, the end of the calls, or something else, which is text."""
        closing, place = self._format.closing.strip(), _end_of_space(self._held, 0)
        rest = self._held[place:]
        if closing.startswith(rest) and len(rest) < len(closing):
            return False
        if rest.startswith(",") and self._format.is_list:
            self._held, self._position, self._phase, self._object = rest, 1, "object", _ObjectEnd()
            return True
        if rest.startswith(closing):
            self._held = rest[len(closing) :]
        self._phase, self._follows_call = "text", True
        return bool(self._held)

    def _give_up(self, said: list[Said]) -> bool:
        """Gives back as text what has been read of a call that is none."""
        said.append(self._take(self._position))
        self._phase, self._has_begun = "text", False
        return True

    def _call(self, text: str) -> ToolCall | None:
        id_ = self._ids[len(self.calls)] if len(self.calls) < len(self._ids) else f"call_{len(self.calls)}"
        if not self._format.head:
            return ToolCall(id_, self._name, text) if self._name in self._names and _members(text) is not None else None
        members = _members(text) or {}
        name, _written = members.get("name", (None, ""))
        found = members.get("arguments", members.get("parameters"))
        given_id, _written = members.get("id", (None, ""))
        if not isinstance(name, str) or name not in self._names or found is None or not isinstance(found[0], dict):
            return None
        if self._format.id_length and isinstance(given_id, str) and len(given_id) == self._format.id_length:
            id_ = given_id
        return ToolCall(id_, name, found[1])


class _ObjectEnd:
    """Finds where a JSON object ends, in a text that grows: what has been looked at is not looked at again."""

    def __init__(self) -> None:
        self._depth = 0
        self._looked = 0
        self._in_text = False
        self.has_begun = False

    def find(self, text: str, start: int) -> int | None:
        """The position after the object that begins at `start`, where a bracket stands; None if it is not there yet."""
        position = self._looked if self.has_begun else start
        self.has_begun = True
        while (mark := (_IN_TEXT if self._in_text else _OUTSIDE).search(text, position)) is not None:
            if mark[0] == "\\":
                if mark.end() == len(text):
                    self._looked = mark.start()
                    return None
                position = mark.end() + 1
                continue
            position = mark.end()
            if mark[0] == '"':
                self._in_text = not self._in_text
            else:
                self._depth += 1 if mark[0] in "{[" else -1
                if self._depth == 0:
                    return position
        self._looked = len(text)
        return None


def overlap(text: str, marker: str) -> int:
    """The length of the longest end of `text` that is a beginning of `marker`, but not all of it."""
    for length in range(min(len(text), len(marker) - 1), 0, -1):
        if marker.startswith(text[-length:]):
            return length
    return 0


def _end_of_space(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    return position if space is None else space.end()


def _members(text: str) -> dict[str, tuple[Any, str]] | None:
    """The members of a JSON object: of each the value, and how it is written. None if it is none."""
    members: dict[str, tuple[Any, str]] = {}
    try:
        if not isinstance(_DECODER.decode(text), dict):
            return None
        position = _end_of_space(text, 1)
        while text[position] != "}":
            key, position = _DECODER.raw_decode(text, position)
            start = _end_of_space(text, _end_of_space(text, position) + 1)
            value, position = _DECODER.raw_decode(text, start)
            members[key] = value, text[start:position]
            position = _end_of_space(text, position)
            if text[position] == ",":
                position = _end_of_space(text, position + 1)
    except (ValueError, RecursionError):
        return None
    return members
