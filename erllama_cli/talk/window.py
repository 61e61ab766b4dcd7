"""One terminal's window on a conversation: what it shows, and what was typed but is not said yet."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from erllama_cache.errors import ErllamaError
from erllama_cli.conversation.conversation import Conversation
from erllama_cli.failures import failure_of, print_failure
from erllama_cli.output import counted
from erllama_cli.question import valid_text
from erllama_cli.talk.question import AttachedFile, Question
from erllama_cli.talk.told import tell, tell_messages
from erllama_daemon.errors import NothingSaid, SessionMoved
from erllama_daemon.messages import SessionTurn


@dataclass(kw_only=True)
class Window:
    """What the commands of a conversation work on.

    `files` go before the next question. `draft` stands in the line that is typed next and, if that is sent, `edited`
    is the question it takes the place of. `unanswered` was asked here and has no answer. `edits` says that the line
    can be edited, and so can begin with the draft.
    """

    conversation: Conversation
    files: list[AttachedFile] = field(default_factory=list)
    draft: str = ""
    edited: Question | None = None
    unanswered: Question | None = None
    shows_status: bool = False
    edits: bool = False
    is_left: bool = False

    def send(self, text: str, edited: Question | None = None) -> None:
        """Ask what was typed, in the place of `edited` if there is one."""
        text = valid_text(text, "the message")
        question = Question.about(text, self.files) if edited is None else edited.reworded(text)
        try:
            self.ask(question)
        except ErllamaError as error:
            if not _is_moved(error):
                raise
            self.draft, self.edited = typeable(text), edited
            self.tell_moved()
            tell("Your message was not sent. " + ("It is in the line again." if self.edits else "/retry sends it."))

    def settle(self) -> None:
        """Find out whether the question without an answer has one by now.

        A daemon that went away, or could not write the turn at once, may have kept it all the same.
        """
        if self.unanswered is not None:
            with contextlib.suppress(ErllamaError):
                self.conversation.client()  # if need be started, or there is nobody to ask
            self._catch_up(self.unanswered)

    def ask(self, question: Question) -> None:
        """Print the answer to a question, which stays `unanswered` unless a turn becomes of it.

        Ctrl-C ends the answer; what came of it is kept.
        """
        conversation, self.unanswered = self.conversation, question
        try:
            stats = conversation.ask(*question.messages, after=question.after, seen=conversation.seen)
        except KeyboardInterrupt:
            self._catch_up(question)
            self._tell_stopped()
        except ErllamaError as error:
            if not _is_moved(error):
                self._catch_up(question)
            raise
        else:
            if not stats.cancelled or stats.turn is not None:
                self._answered(question)
            else:
                self._catch_up(question)
            if stats.cancelled:
                self._tell_stopped()
        finally:
            if not conversation.display.as_json and sys.stdout.isatty():
                print(flush=True)

    def way(self) -> list[SessionTurn]:
        """The turns up to the last. Raises NothingSaid if there is none, and SessionMoved if others were seen here."""
        way = self.conversation.way()
        if not way:
            raise NothingSaid
        return way

    def go_to(self, turn: str) -> None:
        """Go on from another turn, and show where that is."""
        self.conversation.go_to(turn)
        self.unanswered = None
        self.tell_place()

    def tell_place(self) -> None:
        """Show what was said last."""
        session = self.conversation.session
        if session.turn is None:
            tell("At the beginning: nothing is said before your next message.")
        tell_messages(session.messages[-2:])

    def tell_moved(self) -> None:
        """Show what was said elsewhere, and go on from there."""
        conversation = self.conversation
        client = conversation.client()
        turns = client.turns(conversation.session)
        known = _way_to(turns, conversation.session.turn)
        added = [turn for turn in turns if turn.current and turn.id not in known]
        conversation.session = client.session(conversation.session.id)
        if added:
            tell(f"This conversation went on elsewhere: {counted(len(added), 'turn')} more.")
            tell_messages(message for turn in added for message in turn.messages)
        else:
            tell("This conversation was taken back elsewhere, to this:")
            self.tell_place()

    @contextlib.contextmanager
    def told_failures(self) -> Iterator[None]:
        """What fails inside is told, and the conversation goes on."""
        try:
            yield
        except KeyboardInterrupt:
            tell("")
        except BrokenPipeError:
            raise
        except Exception as error:
            if self.conversation.display.debug:
                traceback.print_exc()
            if not _is_moved(error):
                print_failure(failure_of(error))
                return
            self.tell_moved()
            tell("Nothing was done; give the command again if you still mean it.")

    def _catch_up(self, question: Question) -> None:
        # A second Ctrl-C waits no longer. What is not known now is found out with the next question.
        with contextlib.suppress(ErllamaError, KeyboardInterrupt):
            if self.conversation.catch_up(question.messages[-1], question.after):
                self._answered(question)

    def _tell_stopped(self) -> None:
        """Say what Ctrl-C has left: an answer as far as it came, or none."""
        display = self.conversation.display
        if self.unanswered is not None:
            tell("Stopped before anything was answered. /retry asks it again.")
        elif sys.stderr.isatty() and not (display.quiet or display.as_json):
            tell("[stopped]", faint=True)

    def _answered(self, question: Question) -> None:
        self.unanswered = None
        self.files = [file for file in self.files if file not in question.files]


def typeable(text: str) -> str:
    """What has to be typed to say `text`."""
    return f"/{text}" if text.startswith("/") else text


def _is_moved(error: Exception) -> bool:
    return failure_of(error).code == SessionMoved.code


def _way_to(turns: Sequence[SessionTurn], last: int | None) -> set[int]:
    parents = {turn.id: turn.parent for turn in turns}
    way: set[int] = set()
    while last is not None:
        way.add(last)
        last = parents.get(last)
    return way
