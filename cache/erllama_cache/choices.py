"""What a user of the cache chooses among. Imports nothing, so that who only lists the choices need not wait."""

from __future__ import annotations

from typing import Literal

FingerprintMode = Literal["safe", "gguf_chunked", "fast_unsafe"]
"""How a model file is told from others; see `fingerprint`."""

KNOBS = ("min_tokens", "cold_min_tokens", "cold_max_tokens", "continued_interval", "evict_save_timeout_ms")
"""The names of what can be turned about a `Policy`."""
