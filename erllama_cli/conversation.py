"""A conversation of which the daemon keeps every turn."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from erllama_cli.answer import print_answer, print_result
from erllama_cli.launcher import running_daemon
from erllama_cli.options import DisplayOptions
from erllama_daemon.directories import Directories
from erllama_daemon.messages import CompleteRequest, Message, Session


@dataclass(kw_only=True)
class Conversation:
    """One session and how its next turns are asked: as `request`, with their own messages.

    `system` goes with the first turn that is kept.
    """

    directories: Directories
    session: Session
    system: list[Message]
    request: CompleteRequest
    display: DisplayOptions

    def ask(self, question: Message) -> None:
        """Print the answer to `question`. A daemon that has gone away meanwhile is started again."""
        client = running_daemon(self.directories)
        if self.system and client.session(self.session.id).messages:
            self.system = []
        request = msgspec.structs.replace(self.request, session=self.session.id, messages=[*self.system, question])
        print_result(print_answer(client, request, self.display), self.display)
