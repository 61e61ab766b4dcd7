"""How fast requests are answered now."""

from __future__ import annotations

from collections.abc import Mapping

from erllama_daemon.messages import Activity


def rates(now: Activity, before: Activity | None = None) -> Mapping[int, float]:
    """Tokens a second of each request: since it was looked at before, or else since its first token."""
    earlier = {} if before is None else {each.id: each.generated_tokens for each in before.requests}
    elapsed_s = 0.0 if before is None else now.uptime_s - before.uptime_s
    return {
        each.id: (each.generated_tokens - earlier[each.id]) / elapsed_s
        if elapsed_s > 0 and each.id in earlier
        else each.tokens_per_s
        for each in now.requests
    }
