"""A conversation is not there, cannot go on, or is somebody else's just now."""

from __future__ import annotations

from collections.abc import Sequence

from erllama_cache.errors import ErllamaError
from erllama_daemon.errors.exit_codes import EXIT_FAILED, EXIT_MODEL, EXIT_USAGE


class ChatNeedsModel(ErllamaError):
    """A new conversation needs a model."""

    code = "chat_needs_model"
    exit_code = EXIT_USAGE
    hint = (
        "Give one, as in: erllama chat demo. Or go on with the last one: erllama chat --continue. `erllama config set"
        " run.model demo` has one that is always meant."
    )


class SessionUnknown(ErllamaError):
    """There is no conversation {session!q}."""

    code = "session_unknown"
    exit_code = EXIT_FAILED
    hint = "See what there is with: erllama sessions ls"

    def __init__(self, *, session: str, near: Sequence[str] = ()) -> None:
        super().__init__(session=session)
        if near:
            self.hint = f"Did you mean {' or '.join(near)}? See all with: erllama sessions ls"


class SessionAmbiguous(ErllamaError):
    """{count} conversations have ids that begin with {session!q}."""

    code = "session_ambiguous"
    exit_code = EXIT_FAILED
    hint = "Write more of it; see: erllama sessions ls"


class SessionNameTaken(ErllamaError):
    """There is a conversation called {name!q} already: {session!q}."""

    code = "session_name_taken"
    exit_code = EXIT_FAILED
    hint = "Choose another name, or go on with it: erllama chat --session {session!q}"


class SessionModelDiffers(ErllamaError):
    """The conversation {called!q} is with {model!q}, not with {given!q}."""

    code = "session_model_differs"
    exit_code = EXIT_USAGE
    hint = (
        "Have it go on with the other model: erllama chat --session {session!q} --model {given!q}"
        " (with --fork, a copy of it does)."
    )


class SessionModelMissing(ErllamaError):
    """The model {model!q} of the conversation {called!q} is not there any more."""

    code = "session_model_missing"
    exit_code = EXIT_MODEL
    hint = "Say where it is now, or choose another: erllama chat --session {session!q} --model MODEL"


class SessionPrivate(ErllamaError):
    """The conversation {session!q} is private: it belongs to the command that began it."""

    code = "session_private"
    exit_code = EXIT_FAILED
    hint = "Ask there, or begin a conversation of your own: erllama chat MODEL"


class SessionOpen(ErllamaError):
    """The conversation {session!q} is open in another window."""

    code = "session_open"
    exit_code = EXIT_FAILED
    hint = "Close it there, or choose with --if-open fork or --if-open wait."


class SessionMoved(ErllamaError):
    """The conversation {session!q} {moved}."""

    code = "session_moved"
    exit_code = EXIT_FAILED
    hint = "See what was said with: erllama sessions show {session!q}"

    def __init__(self, *, session: str, turns: str) -> None:
        """`turns` says how many there are more; if it is empty, the conversation was taken back."""
        went_on = f"went on elsewhere meanwhile: {turns} more"
        super().__init__(session=session, moved=went_on if turns else "was taken back elsewhere meanwhile")


class TurnUnknown(ErllamaError):
    """The conversation {session!q} has no turn {turn}."""

    code = "turn_unknown"
    exit_code = EXIT_FAILED
    hint = "See its turns in a chat with /goto, or with: erllama sessions show {session!q}"


class NoSession(ErllamaError):
    """There is no conversation to continue."""

    code = "no_session"
    exit_code = EXIT_FAILED
    hint = "Start one with: erllama chat MODEL"
