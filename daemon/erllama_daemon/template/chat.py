"""A model's chat template: messages to text, in a sandbox, with the text's message boundaries."""

from __future__ import annotations

import datetime
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

import jinja2

from erllama_daemon.deadline import DeadlineExceeded, deadline
from erllama_daemon.errors import TemplateFailed
from erllama_daemon.messages import Message, ToolCall
from erllama_daemon.template.habits import ToolHabits, Tools, habits_of
from erllama_daemon.template.rows import rows
from erllama_daemon.template.sandbox import TemplateSandbox
from erllama_daemon.thinking import THINKING
from erllama_daemon.tooling.call_format import CallFormat
from erllama_daemon.tooling.call_ids import id_for
from erllama_daemon.tooling.exact_json import written_text
from erllama_daemon.tooling.told import told

PLAIN_TEMPLATE = "{% for message in messages %}{{ message.content }}{% if not loop.last %}\n{% endif %}{% endfor %}"
"""For base models without a template: the text as it is."""

RENDER_SECONDS = 2.0
"""How long a template may take, for a prompt and all its message boundaries together."""

_ANSWER_MARK = "\x02erllama answer\x03"
"""Stands for an answer while the text around it is rendered; control characters keep it from meeting real text."""

_STAND_IN = (Message("user", ["Hello?"]), Message("assistant", ["Hello."]))
_STAND_INS = (_STAND_IN, _STAND_IN * 2)
"""Conversations in place of one that nobody knows."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A rendered text and the character offsets in it where a block should end.

    Of these, `boundaries` are those between messages. `answers` says where an earlier answer begins, for what stands
    before was the whole prompt when it was asked for, and where its message ends.
    """

    text: str
    breakpoints: tuple[int, ...]
    boundaries: tuple[int, ...] = ()
    answers: tuple[tuple[int, int], ...] = ()

    def segments(self) -> list[str]:
        """The text split at its breakpoints. Tokenized one by one, equal beginnings give equal tokens."""
        edges = sorted({0, *self.breakpoints, len(self.text)})
        return [self.text[start:end] for start, end in itertools.pairwise(edges)]


class ChatTemplate:
    """Renders messages with a model's own Jinja template, which may be broken or hostile.

    `source` is the template's text. Raises TemplateFailed if it does not work, takes more than RENDER_SECONDS or breaks
    the bounds of its sandbox. Used by one thread at a time.
    """

    def __init__(self, source: str | None, *, bos_text: str, eos_text: str) -> None:
        self.source = source if source is not None else PLAIN_TEMPLATE
        self._environment = TemplateSandbox()
        self._environment.add_filter("tojson", _to_json)
        self._environment.globals["raise_exception"] = _raise_exception
        self._environment.globals["strftime_now"] = _strftime_now
        self._names = {"bos_token": bos_text, "eos_token": eos_text}
        self._habits: ToolHabits | None = None
        with _guarded():
            self._template = self._environment.from_string(self.source)

    @property
    def habits(self) -> ToolHabits:
        """What it does with tools, by trying. Raises TemplateFailed if it takes too long to tell."""
        if self._habits is None:
            with _guarded():
                self._habits = habits_of(self._attempt)
        return self._habits

    def render(self, messages: Sequence[Message], *, tools: Tools = ()) -> Rendered:
        """The prompt that asks for an answer to `messages`, from its very beginning. The template gets the tools."""
        messages, tools = self._shown(messages, tools)
        with _guarded():
            text = self._text(messages, ask=True, tools=tools)
            text.encode()  # half a surrogate pair is nothing that could be tokenized
            boundaries, answers = self._boundaries(text, messages, tools)
            return Rendered(text, (*boundaries, *_part_ends(text, messages)), tuple(boundaries), tuple(answers))

    def extend(self, history: Sequence[Message], new: Sequence[Message], *, tools: Tools = ()) -> Rendered | None:
        """The text that follows the last answer of `history` and asks for an answer to `new`.

        None if the template renders what came before that answer differently now than it did when the answer
        was asked for: then the old tokens are not a beginning of the new prompt. That it leaves out the thinking of
        old answers, whose markers it may have opened itself, or writes an empty one, makes no difference: the chain has
        what was thought.
        """
        answer, mark = self._marked(history[-1])
        whole, given = self._shown([*history[:-1], answer, *new], tools)
        asked, _given = self._shown(history[:-1], tools)
        shown_new, _given = self._shown(new, ())
        with _guarded():
            text = self._text(whole, ask=True, tools=given)
            before, found, after = text.partition(mark)
            prompt = self._text(asked, ask=True, tools=given)
            # What one of them has beyond the other; if neither begins with the other, all of the prompt.
            opening = before.removeprefix(prompt) if before.startswith(prompt) else prompt.removeprefix(before)
            if not found or not _is_thinking_alone(opening):
                return None
            return Rendered(after, tuple(_part_ends(after, shown_new)))

    def _marked(self, answer: Message) -> tuple[Message, str]:
        """A message like an answer, and the text that stands for all that the model wrote of it.

        Calls stay such, for a template may write what is around them otherwise, and want to see what a result is of.
        """
        if not answer.tool_calls:
            return Message("assistant", [_ANSWER_MARK]), _ANSWER_MARK
        format_, arguments = self.habits.calls, json.dumps({"mark": _ANSWER_MARK})
        calls = [ToolCall(id_for(format_, call.id), call.name, arguments) for call in answer.tool_calls]
        return Message("assistant", [""], calls), format_.write(calls)

    def follow(self, new: Sequence[Message], *, tools: Tools = ()) -> Rendered:
        """The text that follows an answer and asks for an answer to `new`, whatever was said before.

        Raises TemplateFailed if the template writes it differently after other conversations.
        """
        ids = dict.fromkeys(message.tool_call_id for message in new if message.tool_call_id is not None)
        called = Message("assistant", [""], [ToolCall(call_id, "f", "{}") for call_id in ids])
        short, long = (
            self.extend([*asked, called if ids else answer], new, tools=tools) for *asked, answer in _STAND_INS
        )
        if short is None or short != long:
            raise TemplateFailed(reason="what it writes after an answer depends on all that was said before")
        return short

    def _shown(self, messages: Sequence[Message], tools: Tools) -> tuple[Sequence[Message], Tools]:
        """The messages and tools that the template gets."""
        if not tools and not any(message.tool_calls or message.role == "tool" for message in messages):
            return messages, ()
        if not self.habits.is_told:
            return messages, tools
        return told(messages, tools, has_system=self.habits.has_system), ()

    def _attempt(self, messages: Sequence[Message], tools: Tools, format_: CallFormat | None = None) -> str | None:
        try:
            return self._text(messages, ask=True, tools=tools, format_=format_)
        except Exception:
            return None

    def _boundaries(
        self, text: str, messages: Sequence[Message], tools: Tools
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """Where the messages meet in the text, and of those answers whose both ends are known, where they stand.

        Before an answer that is not where the message ends, but where a prompt that asked for the answer ended: after
        what the template writes then, which is learned from the first answer.
        """
        ends = dict(self._message_ends(text, messages, tools))
        before_answers = [count for count in ends if messages[count].role == "assistant"]
        if not before_answers:
            return [*ends.values()], []
        first = before_answers[0]
        asked = self._boundary(messages[:first], tools, ask=True)
        if asked is None or not asked.startswith(text[: ends[first]]):
            return [*ends.values()], []
        request = asked[ends[first] :]
        starts = {
            count: ends[count] + len(request) for count in before_answers if text.startswith(request, ends[count])
        }
        answers = [(start, ends[count + 1]) for count, start in starts.items() if start <= ends.get(count + 1, -1)]
        return [*(ends | starts).values()], answers

    def _message_ends(self, text: str, messages: Sequence[Message], tools: Tools) -> Iterator[tuple[int, int]]:
        """How many messages there were, and where the last of them ends in the text; not for the last message of all.

        That is where the conversation up to the message ends when it is rendered alone. What a template writes after a
        message's content is learned from the first one of its role, or each would cost a rendering.
        """
        tails: dict[str, str] = {}
        position = 0
        for count, message in enumerate(messages[:-1], 1):
            found = text.find(message.text, position)
            end = found + len(message.text)
            tail = tails.get(message.role)
            if message.text and found >= 0 and tail is not None and text.startswith(tail, end):
                position = end + len(tail)
                yield count, position
                continue
            head = self._boundary(messages[:count], tools)
            if head is not None and text.startswith(head):
                if message.text and found >= 0 and end <= len(head):
                    tails[message.role] = text[end : len(head)]
                position = len(head)
                yield count, position

    def _boundary(self, messages: Sequence[Message], tools: Tools, *, ask: bool = False) -> str | None:
        try:
            return self._text(messages, ask=ask, tools=tools)
        except Exception:  # some templates refuse a conversation that stops at this role
            return None

    def _text(
        self, messages: Sequence[Message], *, ask: bool, tools: Tools = (), format_: CallFormat | None = None
    ) -> str:
        if format_ is None and self._habits is not None:
            format_ = self._habits.calls
        shown = rows(messages, format_)
        self._environment.start()
        return self._template.render(
            messages=shown, add_generation_prompt=ask, tools=list(tools) or None, **self._names
        )


@contextmanager
def _guarded() -> Iterator[None]:
    """Makes every failure of a template a TemplateFailed, that of not coming to an end too."""
    try:
        with deadline(RENDER_SECONDS):
            yield
    except DeadlineExceeded:
        raise TemplateFailed(reason=f"it takes longer than {RENDER_SECONDS:g} s") from None
    except Exception as error:
        raise TemplateFailed(reason=f"{type(error).__name__}: {error}"[:500]) from error


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


def _is_thinking_alone(text: str) -> bool:
    """Whether a text is nothing but markers of thinking and white space."""
    for marker in itertools.chain(*THINKING):
        text = text.replace(marker, "")
    return not text.strip()


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """What templates expect of `tojson`: no escapes for HTML, and the arguments that the Transformers library has."""
    written = written_text(value)
    if written is not None and indent is None and separators is None and not sort_keys and not ensure_ascii:
        return written
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _strftime_now(pattern: str) -> str:
    return datetime.datetime.now().astimezone().strftime(pattern)
