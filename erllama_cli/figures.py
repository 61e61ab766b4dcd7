"""What an answer took, and what else there is to say of it, in a few words."""

from __future__ import annotations

from erllama_cli.output import counted
from erllama_daemon.messages import Stats


def stats_line(stats: Stats) -> str:
    """What an answer took, on one line."""
    used = stats.prompt_tokens + stats.completion_tokens
    parts = [
        f"{counted(stats.completion_tokens, 'token')}{f', {tokens_per_second(stats)}' if stats.generation_ms else ''}",
        f"{stats.cached_tokens:,} of {counted(stats.prompt_tokens, 'prompt token')} from the cache",
        f"first token after {stats.ttft_ms / 1000:.2f} s",
    ]
    if stats.context_size:
        parts.append(f"{used:,} of {counted(stats.context_size, 'token')} of context")
    return "; ".join(parts)


def tokens_per_second(stats: Stats) -> str:
    """How fast an answer came."""
    rate = 1000 * stats.completion_tokens / stats.generation_ms if stats.generation_ms else 0.0
    return f"{rate:.1f} tok/s"


def notices(stats: Stats, *, in_chat: bool = False) -> list[str]:
    """What the user should know besides the answer; in a chat, commands such as /set can be typed after it."""
    told = []
    if stats.dropped_messages:
        count = stats.dropped_messages
        oldest = "message" if count == 1 else f"{count:,} messages"
        if stats.summary is not None:
            told.append(f"a summary took the place of the oldest {oldest} to make room")
        else:
            told.append(f"the oldest {oldest} {'was' if count == 1 else 'were'} left out to make room")
    if stats.finish_reason == "length":
        told.append(
            f"cut off after {stats.completion_tokens:,} tokens; see {'/set max-tokens' if in_chat else '--max-tokens'}"
        )
    if stats.cache_note is not None:
        told.append(f"{stats.cache_note}: {stats.prompt_tokens - stats.cached_tokens:,} tokens were read again")
    if stats.saved == "dropped":
        told.append("the cache took no more: what comes next will be read again")
    return told
