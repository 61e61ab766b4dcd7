"""A conversation of which the daemon keeps every turn, or none that outlives the command."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from erllama_cli.answer import print_answer, print_result
from erllama_cli.client import Client
from erllama_cli.hold import Hold
from erllama_cli.launcher import running_daemon
from erllama_cli.options import DisplayOptions
from erllama_daemon.directories import Directories
from erllama_daemon.messages import CompleteRequest, Message, Session


@dataclass(kw_only=True)
class Conversation:
    """One session and how its next turns are asked: as `request`, with their own messages.

    `system` goes with the first turn that is kept. `hold` is how other windows see that it is open here; whoever has it
    go on as another session moves that too.
    """

    directories: Directories
    session: Session
    system: list[Message]
    request: CompleteRequest
    display: DisplayOptions
    hold: Hold = field(default_factory=Hold)

    def ask(self, question: Message) -> None:
        """Print the answer to `question`. A daemon that has gone away meanwhile is started again."""
        client = running_daemon(self.directories)
        if self.system and client.session(self.session.id).messages:
            self.system = []
        request = msgspec.structs.replace(self.request, session=self.session.id, messages=[*self.system, question])
        print_result(print_answer(client, request, self.display), self.display)

    def close(self) -> None:
        """Has a private conversation forgotten; a daemon that has gone away has done so. Others stay as they are."""
        client = Client(self.directories)
        if self.session.private and client.answers():
            client.forget_session(self.session)
