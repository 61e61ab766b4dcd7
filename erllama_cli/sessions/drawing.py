"""Conversations as text to read, and as trees."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence

from erllama_cli.drawing.printable import printable
from erllama_cli.drawing.tree import Branch, Line, dot, print_branch
from erllama_cli.model import short_name
from erllama_cli.one_line import one_line
from erllama_cli.output import counted
from erllama_cli.sessions.named import named
from erllama_cli.sessions.said import said_text
from erllama_daemon.messages import Message, Session, SessionTurn

KEY_DIGITS = 12
_CUT_OFF = {"cancelled": "stopped", "length": "cut off"}

Children = Mapping[int | None, Sequence[SessionTurn]]


def print_conversation(session: Session, turns: Iterable[SessionTurn], *, thinking: bool, quiet: bool) -> None:
    """What was said on the way to the last turn; how many turns lie beside it is only told."""
    turns = list(turns)
    left = sum(not turn.current for turn in turns)
    if not quiet:
        said = [one_line(short_name(session.model)), counted(session.turns, "turn"), counted(session.tokens, "token")]
        print(dot().join([named(session), *said]))
        if left:
            print(f"It went back from {counted(left, 'turn')}; see with: erllama sessions show {session.id} --all")
    print_turns([turn for turn in turns if turn.current], thinking=thinking, after=not quiet)
    if session.unanswered is not None:
        _print_part(["not answered", session.unanswered.role], said_text(session.unanswered), after=True)


def print_turns(turns: Iterable[SessionTurn], *, thinking: bool, after: bool = False) -> None:
    """All that was said in these turns."""
    for turn in turns:
        for message in turn.messages:
            if message.role == "assistant" and thinking and turn.thinking:
                _print_part([turn.name, "thinking"], turn.thinking, after=after)
                after = True
            _print_part([turn.name, message.role, *_about(turn, message)], said_text(message), after=after)
            after = True


def print_tree(session: Session, turns: Iterable[SessionTurn]) -> None:
    """Every turn on a line of its own; what the conversation went back from branches off."""
    children: dict[int | None, list[SessionTurn]] = {}
    for turn in turns:
        children.setdefault(turn.parent, []).append(turn)
    top = Line(named(session), [one_line(short_name(session.model))])
    print_branch(Branch(top, _below(children.get(None, []), children, session)))


def _about(turn: SessionTurn, message: Message) -> list[str]:
    if message.role != "assistant":
        return []
    cut_off = _CUT_OFF.get(turn.finish_reason)
    return [*([cut_off] if cut_off else []), *([turn.finish_key[:KEY_DIGITS]] if turn.tokens else [])]


def _print_part(words: Sequence[str], text: str, *, after: bool) -> None:
    if after:
        print()
    print(_faint(f"--- {dot().join(words)}"))
    print(_harmless(text.strip("\n")))


def _faint(text: str) -> str:
    return f"\x1b[2m{text}\x1b[0m" if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else text


def _harmless(text: str) -> str:
    """What was said, which on a terminal may do nothing but stand there."""
    return printable(text) if sys.stdout.isatty() else text


def _below(siblings: Sequence[SessionTurn], children: Children, session: Session) -> list[Branch]:
    """A way that does not part stays on one level."""
    if len(siblings) == 1:
        return _run(siblings[0], children, session)
    branches = []
    for sibling in siblings:
        first, *rest = _run(sibling, children, session)
        branches.append(Branch(first.line, [*first.branches, *rest]))
    return branches


def _run(turn: SessionTurn, children: Children, session: Session) -> list[Branch]:
    """The turn and those that follow it, up to where they part."""
    run = []
    while len(following := children.get(turn.id, [])) == 1:
        run.append(Branch(_line(turn, session)))
        turn = following[0]
    return [*run, Branch(_line(turn, session), _below(following, children, session) if following else ())]


def _line(turn: SessionTurn, session: Session) -> Line:
    asked = next((message.text for message in turn.messages if message.role in ("user", "tool")), "")
    figures = [
        *(["goes on here"] if turn.id == session.turn else [] if turn.current else ["left"]),
        *([turn.finish_key[:KEY_DIGITS]] if turn.tokens else []),
        counted(turn.tokens, "token"),
    ]
    return Line(f"{turn.name}  {one_line(asked)}", figures, style="" if turn.current else "dim")
