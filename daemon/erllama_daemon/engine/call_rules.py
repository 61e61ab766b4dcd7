"""Which tools a request may call, and the grammar of the calls."""

from __future__ import annotations

from collections.abc import Sequence

from erllama_daemon.frames import Generate
from erllama_daemon.grammar.calls import CallGrammar
from erllama_daemon.messages import NamedTool
from erllama_daemon.messages.tool_checks import tool_parameters
from erllama_daemon.template.chat import ChatTemplate
from erllama_daemon.thinking import ThinkingMarkers
from erllama_daemon.tooling.call_format import CallFormat
from erllama_daemon.tooling.call_ids import call_ids
from erllama_daemon.tooling.call_split import CallSplit


class CallRules:
    """The calls that one answer may hold. They are in force from its first token if they `are_demanded`.

    Otherwise the model writes what it likes until it begins a call.
    """

    def __init__(
        self, format_: CallFormat, names: Sequence[str], ids: Sequence[str], grammar: CallGrammar, *, are_demanded: bool
    ) -> None:
        self._format = format_
        self._names = names
        self._ids = ids
        self._grammar = grammar
        self.are_demanded = are_demanded
        self.are_in_force = are_demanded

    @property
    def markers(self) -> tuple[str, ...]:
        """The control tokens that are a part of calls, written out."""
        return self._format.markers

    def split(self) -> CallSplit:
        """What finds the calls in the answer's text."""
        return CallSplit(self._format, self._names, self._ids)

    def whole(self, markers: ThinkingMarkers | None) -> str:
        """The grammar of an answer that is nothing but calls, once a thinking that the prompt began is closed."""
        begins_inside = markers is not None and markers.starts_inside
        return self._grammar.text(f"\n{markers.closing}\n\n" if markers is not None and begins_inside else "")

    def rest(self, written: str) -> str | None:
        """The grammar of the rest of calls of which some is written; from now on it is in force.

        None, and it is not, for a beginning that no call has.
        """
        grammar = self._grammar.rest(written)
        self.are_in_force = grammar is not None
        return grammar


def call_rules(request: Generate, template: ChatTemplate, prompt: Sequence[int]) -> CallRules | None:
    """The calls that the answer to a prompt may hold; None if it may hold none.

    Raises TemplateFailed, ToolInvalid and ToolsInvalid.
    """
    choice = request.tool_choice
    if not request.tools or choice == "none":
        return None
    parameters = tool_parameters(request.tools)
    if isinstance(choice, NamedTool):
        parameters = {choice.name: parameters[choice.name]}
    habits = template.habits
    is_single = not request.parallel_tool_calls or isinstance(choice, NamedTool)
    ids = call_ids(habits.calls, prompt)[: 1 if is_single else habits.most_calls]
    grammar = CallGrammar(habits.calls, parameters, ids)
    return CallRules(habits.calls, tuple(parameters), ids, grammar, are_demanded=choice != "auto")
