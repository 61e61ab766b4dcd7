"""Calls of tools as a GBNF grammar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from erllama_daemon.errors import ToolInvalid, ToolsInvalid
from erllama_daemon.grammar.gbnf import START, check_gbnf
from erllama_daemon.grammar.json_rules import COMMON_RULES, SchemaRules, grammar_text, literal
from erllama_daemon.grammar.rule import GbnfError
from erllama_daemon.messages.limits import GRAMMAR_BYTES_LIMIT
from erllama_daemon.tooling.call_format import CallFormat


class CallGrammar:
    """Calls in one form: of some tools, given by name with the JSON schemas of their arguments.

    The calls get the `ids` in order, and there are never more of them. Raises ToolInvalid for a schema that no grammar
    can follow, and ToolsInvalid for more than llama.cpp can be trusted with.
    """

    def __init__(self, format_: CallFormat, parameters: Mapping[str, object], ids: Sequence[str]) -> None:
        self._format = format_
        self._ids = ids
        self._rules = self._call_rules(parameters)
        try:
            check_gbnf(self._text("", format_.opening + format_.head))
        except GbnfError as error:
            raise ToolsInvalid(reason=str(error)) from error

    def text(self, before: str = "") -> str:
        """The grammar of an answer that is nothing but calls, after a text that has to stand before them."""
        return self._text(before, self._format.opening + self._format.head)

    def rest(self, written: str) -> str | None:
        """The grammar of what is left of calls of which the model has written some; None if they are not such calls."""
        beginning = self._format.opening + self._format.head
        return self._text("", beginning.removeprefix(written)) if beginning.startswith(written) else None

    def _text(self, before: str, beginning: str) -> str:
        root = f"{literal(before + beginning)} call-0 {literal(self._format.closing)}"
        return grammar_text({START: root, **self._rules})

    def _call_rules(self, parameters: Mapping[str, object]) -> dict[str, str]:
        format_, rules, tools = self._format, dict(COMMON_RULES), []
        for number, (name, schema) in enumerate(parameters.items()):
            try:
                found = SchemaRules(schema, f"tool-{number}")
            except GbnfError as error:
                raise ToolInvalid(name=name, reason=str(error)) from error
            except RecursionError as error:
                raise ToolInvalid(name=name, reason="its schema is nested too deeply") from error
            rules |= found.rules
            tools.append(f"{literal(name + format_.middle)} {found.root}")
        rules["tool"] = " | ".join(tools)
        another = literal((format_.between or "") + format_.head)
        for number, call_id in enumerate(self._ids):
            is_last = number == len(self._ids) - 1
            more = "" if is_last else f" ({another} call-{number + 1})?"
            rules[f"call-{number}"] = f"tool {literal(format_.ending(call_id))}{more}"
        if sum(map(len, rules.values())) > GRAMMAR_BYTES_LIMIT:
            raise ToolsInvalid(reason=f"they make a grammar of more than {GRAMMAR_BYTES_LIMIT:,} characters")
        return rules
