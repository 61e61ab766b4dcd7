"""The forms in which models write calls of tools, as far as they are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from erllama_daemon.messages import ToolCall
from erllama_daemon.tooling.exact_json import exact_json

MAX_CALLS = 16
"""How many tools an answer may call: small models would go on for ever."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """A text with which calls begin, and how much of the calls themselves it is.

    One that is `first` begins them only at the beginning of an answer.
    """

    text: str
    written: str
    first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFormat:
    """How a model writes calls: `opening`, then `head` name `middle` arguments `tail` for each, then `closing`.

    `between` stands between two calls; without one there is never a second. With `id_length`, the id of a call is so
    many letters and digits, and a part of its text. `separator` stands between the text of an answer and its calls.
    `markers` are the texts in it that are single control tokens of some models.
    """

    name: str
    triggers: tuple[Trigger, ...]
    opening: str = ""
    head: str = '{"name": "'
    middle: str = '", "arguments": '
    tail: str = "}"
    between: str | None = None
    closing: str = ""
    separator: str = ""
    id_length: int = 0
    markers: tuple[str, ...] = ()

    @property
    def most_calls(self) -> int:
        """How many tools an answer may call."""
        return 1 if self.between is None else MAX_CALLS

    @property
    def is_list(self) -> bool:
        """Whether a comma leads from one call to the next."""
        return self.between is not None and self.between.strip() == ","

    def ending(self, call_id: str) -> str:
        """What follows the arguments of a call."""
        return f', "id": "{call_id}"{self.tail}' if self.id_length else self.tail

    def write(self, calls: Sequence[ToolCall]) -> str:
        """The calls as a model writes them."""
        written = [
            self.head + call.name + self.middle + exact_json(call.arguments) + self.ending(call.id) for call in calls
        ]
        return self.opening + (self.between or "").join(written) + self.closing


HERMES = CallFormat(
    name="hermes",
    triggers=(Trigger("<tool_call>", "<tool_call>"),),
    opening="<tool_call>\n",
    between="\n</tool_call>\n<tool_call>\n",
    closing="\n</tool_call>",
    separator="\n",
    markers=("<tool_call>", "</tool_call>"),
)
"""Hermes, Qwen and many others; also what a model is told to write whose template knows no tools."""

LLAMA = CallFormat(
    name="llama",
    triggers=(Trigger("<|python_tag|>", ""), Trigger('{"name":', '{"name":', first=True)),
    middle='", "parameters": ',
    markers=("<|python_tag|>",),
)
"""Llama 3.1 and later."""

_MISTRAL_TRIGGERS = (Trigger("[TOOL_CALLS]", "[TOOL_CALLS]"),)
_MISTRAL_MARKERS = ("[TOOL_CALLS]", "[ARGS]")

MISTRAL_LISTS = tuple(
    CallFormat(
        name="mistral",
        triggers=_MISTRAL_TRIGGERS,
        opening=opening,
        between=", ",
        closing="]",
        id_length=9,
        markers=_MISTRAL_MARKERS,
    )
    for opening in ("[TOOL_CALLS] [", "[TOOL_CALLS][")
)
"""Mistral up to Nemo and Large 2407."""

MISTRAL_NAMES = CallFormat(
    name="mistral-args",
    triggers=_MISTRAL_TRIGGERS,
    opening="[TOOL_CALLS]",
    head="",
    middle="[ARGS]",
    tail="",
    between="[TOOL_CALLS]",
    markers=_MISTRAL_MARKERS,
)
"""Mistral from Small 3.2 on."""

CALL_FORMATS = (HERMES, *MISTRAL_LISTS, MISTRAL_NAMES, LLAMA)
"""All that are known; the first one whose text a template writes is the one that its model writes."""
