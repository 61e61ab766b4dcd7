"""What is asked of a turn: the user's words, after the files that they are about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from erllama_cli.question import BETWEEN_PARTS, separated
from erllama_daemon.messages import Message, SessionTurn


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A text file that goes before the next question."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """The messages of a turn but for its answer: the last is the user's.

    `after` is the turn that they follow, if it is not the last one: 0 is the beginning. `files` went into the message.
    """

    messages: tuple[Message, ...]
    after: int | None = None
    files: tuple[AttachedFile, ...] = ()

    @classmethod
    def about(cls, text: str, files: Sequence[AttachedFile]) -> Question:
        """A question about files, each a part of its own, so that one that is asked about again is read once."""
        parts = separated([*(file.text for file in files), text])
        return cls((Message("user", parts),), files=tuple(files))

    @classmethod
    def of(cls, turn: SessionTurn) -> Question:
        """That of a turn, to be asked in its place."""
        return cls(tuple(turn.messages[:-1]), after=turn.parent or 0)

    @property
    def text(self) -> str:
        """The user's words, without the files before them."""
        return typed_part(self.messages[-1])

    def reworded(self, text: str) -> Question:
        """The same with other words of the user's."""
        *parts, _ = self.messages[-1].parts or [""]
        reworded = Message("user", [*parts, BETWEEN_PARTS * bool(parts) + text])
        return Question((*self.messages[:-1], reworded), self.after, self.files)


def typed_part(message: Message) -> str:
    """What the user typed of a message: what stands after its files."""
    if len(message.parts) < 2:
        return message.text
    return message.parts[-1].removeprefix(BETWEEN_PARTS)
