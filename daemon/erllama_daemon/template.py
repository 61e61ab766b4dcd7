"""A model's chat template: messages to text, in a sandbox, with the text's message boundaries."""

from __future__ import annotations

import datetime
import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from erllama_daemon.errors import TemplateFailed
from erllama_daemon.messages import Message

PLAIN_TEMPLATE = "{% for message in messages %}{{ message.content }}{% if not loop.last %}\n{% endif %}{% endfor %}"
"""For base models without a template: the text as it is."""

_ANSWER_MARK = "\x02erllama answer\x03"
"""Stands for an answer while the text around it is rendered; control characters keep it from meeting real text."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A rendered text and the character offsets in it where a block should end."""

    text: str
    breakpoints: tuple[int, ...]

    def segments(self) -> list[str]:
        """The text split at its breakpoints. Tokenized one by one, equal beginnings give equal tokens."""
        edges = sorted({0, *self.breakpoints, len(self.text)})
        return [self.text[start:end] for start, end in itertools.pairwise(edges)]


class ChatTemplate:
    """Renders messages with a model's own Jinja template. Raises TemplateFailed if that does not work."""

    def __init__(self, source: str | None, *, bos_text: str, eos_text: str) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise_exception
        environment.globals["strftime_now"] = _strftime_now
        self._names = {"bos_token": bos_text, "eos_token": eos_text}
        try:
            self._template = environment.from_string(source if source is not None else PLAIN_TEMPLATE)
        except jinja2.TemplateError as error:
            raise TemplateFailed(reason=str(error)) from error

    def render(self, messages: Sequence[Message]) -> Rendered:
        """The prompt that asks for an answer to `messages`, from its very beginning."""
        text = self._text(messages, ask=True)
        boundaries = []
        for count in range(1, len(messages)):
            head = self._boundary(messages[:count])
            if head is not None and text.startswith(head):
                boundaries.append(len(head))
        return Rendered(text, (*boundaries, *_part_ends(text, messages)))

    def extend(self, history: Sequence[Message], new: Sequence[Message]) -> Rendered | None:
        """The text that follows the last answer of `history` and asks for an answer to `new`.

        None if the template renders what came before that answer differently now than it did when the answer
        was asked for: then the old tokens are not a beginning of the new prompt.
        """
        asked, marked = history[:-1], Message("assistant", [_ANSWER_MARK])
        text = self._text([*asked, marked, *new], ask=True)
        before, mark, after = text.partition(_ANSWER_MARK)
        if not mark or before != self._text(asked, ask=True):
            return None
        return Rendered(after, tuple(_part_ends(after, new)))

    def _boundary(self, messages: Sequence[Message]) -> str | None:
        try:
            return self._text(messages, ask=False)
        except TemplateFailed:  # some templates refuse a conversation that stops at this role
            return None

    def _text(self, messages: Sequence[Message], *, ask: bool) -> str:
        rows = [{"role": message.role, "content": message.text} for message in messages]
        try:
            return self._template.render(messages=rows, add_generation_prompt=ask, tools=None, **self._names)
        except Exception as error:
            raise TemplateFailed(reason=f"{type(error).__name__}: {error}") from error


def _part_ends(text: str, messages: Iterable[Message]) -> list[int]:
    """Where the parts of each message end in the rendered text; a message that the template changed has none."""
    ends, position = [], 0
    for message in messages:
        found = text.find(message.text, position)
        if found < 0 or not message.text:
            continue
        position = found
        for part in message.parts[:-1]:
            position += len(part)
            ends.append(position)
        position = found + len(message.text)
    return ends


def _to_json(value: object, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _strftime_now(pattern: str) -> str:
    return datetime.datetime.now().astimezone().strftime(pattern)
