"""What can be counted of a conversation, and what was thought in it."""

from __future__ import annotations

from erllama_cli.figures import tokens_per_second
from erllama_cli.model import short_name
from erllama_cli.output import counted
from erllama_cli.talk.figures import context_used
from erllama_cli.talk.registry import ChatCommand
from erllama_cli.talk.told import first_words, tell, tell_columns
from erllama_cli.talk.window import Window
from erllama_daemon.messages import TokenizeRequest
from erllama_daemon.messages.answer import SaveState

_SAVED: dict[SaveState, str] = {
    "published": "yes, on disk",
    "dropped": "not all of it: the cache took no more",
    "private": "in memory alone, until you leave",
    "off": "no: the cache is off",
}


def stats(window: Window, _argument: str) -> None:
    """Show where the conversation stands and what its last answer took."""
    conversation = window.conversation
    session, last = conversation.session, conversation.last
    rows = [
        ("model", short_name(session.model)),
        ("conversation", session.id if session.name is None else f"{session.name} ({session.id})"),
        ("turns", f"{session.turns:,}"),
        ("context", context_used(conversation)),
    ]
    if last is not None:
        rows += [
            (
                "last answer",
                f"{last.cached_tokens:,} cached, {last.prompt_tokens - last.cached_tokens:,} read, "
                f"{last.completion_tokens:,} answered",
            ),
            ("speed", f"{tokens_per_second(last)}, the first token after {last.ttft_ms / 1000:.2f} s"),
            ("cached", _SAVED[last.saved]),
            ("seed", str(last.seed)),
        ]
    rows.append(("kept", "no: it is private" if session.private else "yes, at every turn"))
    tell_columns(rows)


def tokens(window: Window, text: str) -> None:
    """Show how many tokens each turn has, or a text."""
    conversation = window.conversation
    if text:
        request = TokenizeRequest(model=conversation.session.model, text=text)
        tell(f"{counted(len(conversation.client().tokenize(request).tokens), 'token')}.")
        return
    before, is_shortened = 0, False
    rows = []
    for turn in window.way():
        new = turn.tokens - before
        is_shortened |= new <= 0
        rows.append((turn.name, f"{new:,}" if new > 0 else f"{turn.tokens:,}*", first_words(turn)))
        before = turn.tokens
    width = max(len(count) for _name, count, _words in rows)
    tell_columns(
        [
            ("turn", "tokens".rjust(width), ""),
            *((name, count.rjust(max(width, 6)), words) for name, count, words in rows),
        ]
    )
    tell(f"Together: {context_used(conversation)}.")
    if is_shortened:
        tell("* All that the model was shown then, shortened: older turns were left out or summarized.")


def thinking(window: Window, _argument: str) -> None:
    """Show what the model thought last."""
    thought = window.way()[-1].thinking
    tell(thought.strip() if thought and thought.strip() else "Nothing was thought before the last answer.")


COMMANDS = (
    ChatCommand("stats", "", "Show how long it is and what the answer took.", stats),
    ChatCommand("tokens", "[TEXT]", "Count the tokens of each turn, or of TEXT.", tokens),
    ChatCommand("thinking", "", "Show what the model thought last.", thinking),
)
