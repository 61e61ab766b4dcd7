"""A conversation of which the daemon keeps every turn."""

from __future__ import annotations

from dataclasses import dataclass

from erllama_cli.answer import print_answer, print_notices
from erllama_cli.launcher import running_daemon
from erllama_cli.output import print_json
from erllama_daemon.directories import Directories
from erllama_daemon.messages import CompleteRequest, Message, Sampling, Session


@dataclass(kw_only=True)
class Conversation:
    """One session and how its next turns are asked. `system` goes with the first turn that is kept."""

    directories: Directories
    session: Session
    system: list[Message]
    max_tokens: int
    sampling: Sampling
    logits_digest: bool
    as_json: bool
    quiet: bool

    def ask(self, question: Message) -> None:
        """Print the answer to `question`. A daemon that has gone away meanwhile is started again."""
        client = running_daemon(self.directories)
        if self.system and client.session(self.session.id).messages:
            self.system = []
        request = CompleteRequest(
            messages=[*self.system, question],
            session=self.session.id,
            max_tokens=self.max_tokens,
            sampling=self.sampling,
            logits_digest=self.logits_digest,
        )
        stats = print_answer(client, request, as_json=self.as_json, quiet=self.quiet)
        if self.as_json:
            print_json(stats)
        else:
            print_notices(stats, quiet=self.quiet)
