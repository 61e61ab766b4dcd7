"""Going back, sideways and elsewhere: every turn stays where it was said, so none of it is read again."""

from __future__ import annotations

from erllama_cli.talk.question import Question
from erllama_cli.talk.registry import ChatCommand
from erllama_cli.talk.told import first_words, tell, tell_columns
from erllama_cli.talk.window import Window, typeable
from erllama_daemon.errors import NothingSaid

BEGINNING = "0"


def retry(window: Window, _argument: str) -> None:
    """Ask the last question again: the one that has no answer yet, or else that of the last turn."""
    question, sampling = _last_question(window), window.conversation.request.sampling
    last = window.conversation.last
    is_answered = window.unanswered is None and window.conversation.session.unanswered is None
    if is_answered and sampling.temperature == 0:
        tell("At temperature 0 the answer is likely to be the same; /set temperature changes that.")
    elif is_answered and sampling.seed is not None and (last is None or last.seed == sampling.seed):
        tell("With the same seed the answer is likely to be the same; /set seed random draws another.")
    window.ask(question)


def undo(window: Window, _argument: str) -> None:
    """Go on from the turn before the last."""
    *before, last = window.way()
    tell(f"Turn {last.name} is taken back; /goto {last.name} returns to it.")
    window.go_to(before[-1].name if before else BEGINNING)


def edit(window: Window, _argument: str) -> None:
    """Put the last question into the line; what is sent then takes its turn's place."""
    question = _last_question(window)
    window.draft, window.edited = typeable(question.text), question
    if window.edits:
        tell("Change the question and send it; Ctrl-C leaves all as it is.")
    else:
        tell(f"Type the question anew; an empty line leaves all as it is. It was:\n{question.text}")


def fork(window: Window, name: str) -> None:
    """Go on in a second conversation that has the same turns so far."""
    window.way()
    conversation = window.conversation
    old = conversation.session
    conversation.fork(name or None)
    new = conversation.session
    tell(f"You are now in {_called(new.name, new.id)}. The other one stays as it is: {_called(old.name, old.id)}")


def goto(window: Window, turn: str) -> None:
    """Go on from any turn; without one, show them all."""
    if turn:
        window.conversation.way()
        window.go_to(turn)
        return
    turns = window.conversation.turns()
    if not turns:
        raise NothingSaid
    last = window.conversation.session.turn
    marks = {turn.id: "→" if turn.id == last else "·" if turn.current else " " for turn in turns}
    tell_columns([(f"{marks[turn.id]} {turn.name}", first_words(turn)) for turn in turns])
    tell("→ is the last turn, · those that lead to it. /goto 0 is the beginning.")


def _last_question(window: Window) -> Question:
    """What was asked last: without an answer, or else in the last turn. Raises NothingSaid and SessionMoved."""
    if window.unanswered is not None:
        return window.unanswered
    session = window.conversation.session
    if session.unanswered is None:
        return Question.of(window.way()[-1])
    return Question((session.unanswered,), after=session.asked_after)


def _called(name: str | None, session: str) -> str:
    return session if name is None else f"{name!r} ({session})"


COMMANDS = (
    ChatCommand(
        "retry",
        "",
        "Ask the last question again.",
        retry,
        details="The seed is another one unless /set seed says so. A question that was not answered is asked now.",
    ),
    ChatCommand("undo", "", "Take the last turn back.", undo),
    ChatCommand(
        "edit",
        "",
        "Change the last question and ask it anew.",
        edit,
        details="What was said before stays; /goto returns to it.",
    ),
    ChatCommand("fork", "[NAME]", "Go on in a copy; this one stays as it is.", fork),
    ChatCommand(
        "goto",
        "[TURN]",
        "Go on from any turn, or show them all.",
        goto,
        "turn",
        details="TURN is what the list calls it: 3, or 3.2 where there are several. 0 is the beginning.",
    ),
)
