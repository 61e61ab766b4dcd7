"""A conversation of which the daemon keeps every turn, or none that outlives the command."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field

import msgspec

from erllama_cli.answer import draw_answer, print_answer, print_result
from erllama_cli.client import Client
from erllama_cli.conversation.hold import Hold
from erllama_cli.launcher import running_daemon
from erllama_cli.options import DisplayOptions
from erllama_daemon.directories import Directories
from erllama_daemon.errors import SessionMoved
from erllama_daemon.messages import CompleteRequest, Message, Session, SessionTurn, Stats


@dataclass(kw_only=True)
class Conversation:
    """One session and how its next turns are asked: as `request`, with their own messages.

    `session` is as this command saw it last. `system` goes with the next turn, unless it is in force already. `last`
    is what was said of the last answer that came to its end here. `hold` is how other windows see that it is open here.
    """

    directories: Directories
    session: Session
    system: list[Message]
    request: CompleteRequest
    display: DisplayOptions
    hold: Hold = field(default_factory=Hold)
    last: Stats | None = None

    @property
    def seen(self) -> int:
        """The last turn that this command knows of; 0 if it knows of none."""
        return self.session.turn or 0

    @property
    def system_in_force(self) -> str:
        """The system prompt of what was said so far; empty if there is none."""
        return next((message.text for message in reversed(self.session.messages) if message.role == "system"), "")

    def client(self) -> Client:
        """The daemon. One that has gone away meanwhile is started again."""
        return running_daemon(self.directories)

    def ask(self, *messages: Message, after: int | None = None, seen: int | None = None) -> Stats:
        """Print the answer to `messages`, of which the last is the question.

        It follows the last turn or, if `after` names one (0 is the beginning), that one. With `seen`, SessionMoved is
        raised if there is a later turn than that. In a chat, an answer that Ctrl-C stops is `cancelled`, and without a
        `turn` nothing of it is kept.
        """
        client = self.client()
        asked = self._with_system(messages, anew=after is not None)
        request = msgspec.structs.replace(self.request, session=self.session.id, messages=asked, after=after, seen=seen)
        stats = self._print_answer(client, request)
        if stats.cancelled and stats.turn is None:
            return stats
        self.last, self.system = stats, []
        self.session = self._followed_by(asked, stats) if after is None else client.session(self.session.id)
        print_result(stats, self.display)
        return stats

    def turns(self) -> list[SessionTurn]:
        """Every turn, also those that it has gone back from."""
        return self.client().turns(self.session)

    def way(self) -> list[SessionTurn]:
        """The turns from the beginning to the last. Raises SessionMoved if that is not the last one seen here."""
        way = [turn for turn in self.turns() if turn.current]
        if (way[-1].id if way else None) != self.session.turn:
            raise SessionMoved(session=self.session.id, turns="something")
        return way

    def go_to(self, turn: str) -> None:
        """Go on from the turn of this name; "0" is the beginning. The system prompt stays in force there."""
        before = self.system_in_force
        self.session = self.client().go_to(self.session, turn)
        if before and self.session.turn is None and not self.system:
            self.system = [Message("system", [before])]

    def fork(self, name: str | None) -> None:
        """Go on in a new conversation that shares all turns so far, which this window then holds open instead."""
        self.session = self.client().fork(self.session, name=name)
        self.hold.move(self.session.id)

    def catch_up(self, question: Message, after: int | None) -> bool:
        """Whether the answer to `question`, which broke off, was kept all the same; it is gone on from it then.

        Waits until the daemon is done with it.
        """
        client = Client(self.directories)
        found = client.settled_session(self.session)
        if found.turn == self.session.turn:
            self.session = found
            return False
        last = next((turn for turn in client.turns(found) if turn.id == found.turn), None)
        followed = (self.session.turn if after is None else after) or None
        if last is None or last.parent != followed or last.messages[-2:-1] != [question]:
            return False
        self.session, self.system = found, []
        return True

    def close(self) -> None:
        """Has a private conversation forgotten; a daemon that has gone away has done so. Others stay as they are."""
        client = Client(self.directories)
        if self.session.private and client.answers():
            client.forget_session(self.session)

    def _print_answer(self, client: Client, request: CompleteRequest) -> Stats:
        if not self.display.in_chat:
            return print_answer(client, request, self.display)
        # Imported here: who only asks stops nothing.
        from erllama_cli.conversation.stopping import StoppableAnswer

        with closing(client.complete(request)) as events:
            answer = StoppableAnswer(Client(self.directories), events)
            with answer.heeding_ctrl_c():
                return draw_answer(answer, self.display, lambda: answer.is_stopped)

    def _with_system(self, messages: Sequence[Message], *, anew: bool) -> list[Message]:
        """`messages` after the system prompt that is to take the place of the one in force."""
        if not self.system or (not anew and self.system[-1].text == self.system_in_force):
            return list(messages)
        return [*self.system, *(message for message in messages if message.role != "system")]

    def _followed_by(self, asked: Sequence[Message], stats: Stats) -> Session:
        """The session after an answer to its last turn: as the daemon has it, without asking it."""
        session = self.session
        if stats.turn is None:
            return session
        return msgspec.structs.replace(
            session,
            messages=[*session.messages, *asked, Message("assistant", [stats.text], stats.tool_calls)],
            title=(session.title if session.turn else "") or " ".join(asked[-1].text.split())[:60],
            tokens=stats.prompt_tokens + stats.completion_tokens,
            finish_key=stats.finish_key,
            unanswered=None,
            turn=stats.turn,
            turns=session.turns + 1,
        )
