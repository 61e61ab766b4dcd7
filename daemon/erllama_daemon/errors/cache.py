"""The cache does not hold what was asked of it."""

from __future__ import annotations

from erllama_cache.errors import ErllamaError
from erllama_daemon.errors.exit_codes import EXIT_FAILED, EXIT_NOT_CACHED


class NothingToPin(ErllamaError):
    """Nothing of {document!q} is on disk that could be pinned."""

    code = "nothing_to_pin"
    exit_code = EXIT_FAILED
    hint = "It is too short, the policy keeps it out, or the disk took no more; see: erllama cache stats"


class NotCached(ErllamaError):
    """The cache held {cached:,} tokens of the prompt; {demanded:,} were demanded."""

    code = "not_cached"
    exit_code = EXIT_NOT_CACHED
    hint = "`erllama cache explain {model!q} …` says why, and `erllama cache warm {model!q} …` reads them beforehand."

    def __init__(self, *, cached: int, demanded: int, tokens: int, model: str) -> None:
        super().__init__(cached=cached, demanded=demanded, model=model)
        if demanded > tokens:
            self.hint = f"The whole prompt has {tokens:,} tokens: no more can be demanded."


class NameUnknown(ErllamaError):
    """There is neither a conversation nor a block {name!q}."""

    code = "name_unknown"
    exit_code = EXIT_FAILED
    hint = "See what there is with: erllama cache ls"


class NameAmbiguous(ErllamaError):
    """{count} conversations and blocks have names that begin with {name!q}."""

    code = "name_ambiguous"
    exit_code = EXIT_FAILED
    hint = "Write more of it."


class ChatNotCached(ErllamaError):
    """Nothing of the conversation {session!q} is in the cache on disk."""

    code = "chat_not_cached"
    exit_code = EXIT_FAILED
    hint = "It is once the conversation has gone on: erllama chat --session {session!q}"


class ParentUnknown(ErllamaError):
    """Nothing that is kept ends in the key {key}."""

    code = "parent_unknown"
    exit_code = EXIT_FAILED
    hint = "A key is kept as long as its block is in the cache, or its turn in a conversation."
