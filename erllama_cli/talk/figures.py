"""Where a conversation stands, in a few words."""

from __future__ import annotations

from erllama_cli.conversation.conversation import Conversation
from erllama_cli.figures import tokens_per_second
from erllama_cli.model import short_name
from erllama_cli.output import counted


def status_figures(conversation: Conversation) -> str:
    """Where the conversation stands: what a line under the prompt shows."""
    parts, stats = [short_name(conversation.session.model), context_used(conversation)], conversation.last
    if stats is not None:
        parts += [f"{stats.cached_tokens:,} cached", tokens_per_second(stats)]
    return " · ".join(parts)


def context_used(conversation: Conversation) -> str:
    """How much of the context the conversation fills, as far as that is known."""
    tokens, stats = conversation.session.tokens, conversation.last
    if stats is None or not stats.context_size:
        return counted(tokens, "token")
    return f"{tokens:,} of {counted(stats.context_size, 'token')}"
