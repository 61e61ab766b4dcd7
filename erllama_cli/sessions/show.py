"""`erllama sessions show`: what was said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from erllama_cli import options
from erllama_cli.failures import reported_failures
from erllama_cli.output import print_json
from erllama_cli.sessions.named import Name

if TYPE_CHECKING:
    from erllama_daemon.messages import Session, SessionTurn

EXAMPLES = """\b
Examples:
  erllama sessions show build
  erllama sessions show build --all
  erllama sessions show build --turn 3.2 --thinking
  erllama sessions show build --json | jq -r '.turns[-1].finish_key'"""


def show(
    name: Name,
    turn: Annotated[str | None, typer.Option("--turn", metavar="TURN", help="Only this turn, as in 3 or 3.2.")] = None,
    whole: Annotated[
        bool, typer.Option("--all", help="Show all turns as a tree, those too that it went back from, one a line.")
    ] = False,
    thinking: Annotated[bool, typer.Option("--thinking", help="Show what the model thought, too.")] = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Show what was said in a conversation, turn by turn.

    Behind each answer stands how its key begins. With --json everything is there: the ids of the turns, their names and
    the whole keys, from which `erllama run --parent` goes on.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.launcher import running_daemon
        from erllama_cli.results.sessions import ShownSession
        from erllama_daemon.directories import user_directories

        client = running_daemon(user_directories(), quiet=quiet)
        session = client.session(name)
        turns = client.turns(session)
        chosen = turns if turn is None else [_turn(session, turns, turn)]
        if as_json:
            print_json(ShownSession(session, chosen))
            return
        from erllama_cli.sessions import drawing

        if whole and turn is None:
            drawing.print_tree(session, turns)
        elif turn is not None:
            drawing.print_turns(chosen, thinking=thinking)
        else:
            drawing.print_conversation(session, turns, thinking=thinking, quiet=quiet)


def _turn(session: Session, turns: list[SessionTurn], name: str) -> SessionTurn:
    """As the daemon finds it: a number alone is the turn that the conversation leads over, or else the latest."""
    from erllama_daemon.errors import TurnUnknown
    from erllama_daemon.sessions.tree import find_turn

    found = find_turn(turns, name)
    if found is None:
        raise TurnUnknown(session=session.id, turn=name)
    return found
