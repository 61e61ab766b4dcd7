"""What a request chooses among, and what it gets unless it chooses. Imports nothing, so that help need not wait."""

from __future__ import annotations

from typing import Literal

KvType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"]

KV_NUMBER_BYTES: dict[KvType, float] = {
    "f32": 4,
    "f16": 2,
    "bf16": 2,
    "q8_0": 34 / 32,
    "q5_1": 24 / 32,
    "q5_0": 22 / 32,
    "q4_1": 20 / 32,
    "q4_0": 18 / 32,
}
"""Bytes a number of the KV buffer takes; quantized types come in groups of 32."""

FlashAttention = Literal["auto", "on", "off"]

Overflow = Literal["stop", "drop", "summarize"]
"""What to do when a conversation outgrows the context: fail, leave out its oldest turns, or put a summary in their
place."""

MAX_TOKENS = 1024
"""How long an answer may be."""

TEMPERATURE = 0.8
TOP_K = 40
TOP_P = 0.95
MIN_P = 0.05
REPEAT_PENALTY = 1.0

LOGPROBS_LIMIT = 20
"""Of how many of the likeliest tokens of a step the probability can be asked."""
