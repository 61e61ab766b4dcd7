"""Every metric that the daemon serves: its name, its kind, its labels, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Bounds of the buckets of what an answer takes."""

TOKEN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.5)
"""Bounds of the buckets of what a token takes."""


@dataclass(frozen=True, slots=True)
class Family:
    """Series of one name. A counter's name ends in `_total`; `buckets` are a histogram's, in seconds."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    told: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = SECONDS


HTTP_REQUESTS = Family(
    "erllama_http_requests_total",
    "counter",
    "Requests by endpoint, API and status; code is `none` if the client left before there was one.",
    ("endpoint", "method", "dialect", "code"),
)
ANSWERS = Family(
    "erllama_answers_total",
    "counter",
    "Answers that have ended, by API and by how: `stop`, `length`, `cancelled`, `failed`, …",
    ("model", "dialect", "outcome"),
)
HITS = Family(
    "erllama_cache_hits_total",
    "counter",
    "Prompts by how much of them was reused, and the slowest place that it came from: `live`, `ram`, `disk`, `none`.",
    ("model", "kind", "tier"),
)
PROMPT_TOKENS = Family(
    "erllama_prompt_tokens_total",
    "counter",
    "Tokens of prompts, by where their state came from: reused from the `cache`, or `computed`.",
    ("model", "source"),
)
GENERATED_TOKENS = Family("erllama_generated_tokens_total", "counter", "Tokens that were generated.", ("model",))
FIRST_TOKEN = Family(
    "erllama_time_to_first_token_seconds",
    "histogram",
    "From the arrival at the model's worker to the first token; without the time that a model took to load.",
    ("model",),
)
BETWEEN_TOKENS = Family(
    "erllama_time_between_tokens_seconds",
    "histogram",
    "The mean time between two tokens of an answer, one observation an answer of at least two.",
    ("model",),
    TOKEN_SECONDS,
)
QUEUE = Family("erllama_queue_seconds", "histogram", "How long a request waited for others.", ("model",))
RESTORE = Family(
    "erllama_restore_seconds",
    "histogram",
    "How long it took to put back what the cache held of a prompt, where it held anything.",
    ("model",),
    TOKEN_SECONDS,
)
PREFILL = Family("erllama_prefill_seconds", "histogram", "How long the rest of a prompt took to read.", ("model",))
ANSWER = Family(
    "erllama_answer_seconds", "histogram", "From the arrival at the daemon to the end of an answer.", ("model",)
)

REQUESTS = Family("erllama_requests", "gauge", "Answers under way, by state.", ("state",))
CONNECTIONS = Family("erllama_connections", "gauge", "Clients that are connected.")
UPTIME = Family("erllama_uptime_seconds", "gauge", "How long the daemon has been running.")
BUILD_INFO = Family(
    "erllama_build_info",
    "gauge",
    "Always 1; the versions are in the labels.",
    ("version", "python", "llama_cpp_python"),
)
MODELS = Family("erllama_models", "gauge", "Models that are loaded or being loaded.")
MODEL_QUEUED = Family("erllama_model_queue_depth", "gauge", "Requests that wait to be admitted.", ("model",))
MODEL_RUNNING = Family("erllama_model_running", "gauge", "Requests that are read or answered.", ("model",))
MODEL_PARALLEL = Family("erllama_model_parallel", "gauge", "Requests that can be answered together.", ("model",))
MODEL_LIVE = Family("erllama_model_live_sequences", "gauge", "Sequences in the model's KV buffers.", ("model",))
MODEL_CONTEXT = Family("erllama_model_context_tokens", "gauge", "Tokens that the model holds in mind.", ("model",))
MODEL_MEMORY = Family("erllama_model_memory_bytes", "gauge", "Resident memory of the model's worker.", ("model",))
DEATHS = Family(
    "erllama_worker_deaths_total", "counter", "Workers that ended without being told to, or were killed.", ("model",)
)

TIER_BYTES = Family("erllama_cache_bytes", "gauge", "Bytes that a tier holds.", ("tier",))
TIER_BLOCKS = Family("erllama_cache_blocks", "gauge", "Blocks that a tier holds.", ("tier",))
TIER_QUOTA = Family("erllama_cache_quota_bytes", "gauge", "Bytes that a tier may hold.", ("tier",))
FOREIGN = Family("erllama_cache_foreign_bytes", "gauge", "Other files in the cache's folder, which count as used.")
WRITTEN_TODAY = Family("erllama_cache_written_today_bytes", "gauge", "Bytes written to the disk today.")
WRITE_QUOTA = Family(
    "erllama_cache_write_quota_bytes", "gauge", "Bytes that may be written in a day; left out where any number may."
)
LOOKUPS = Family(
    "erllama_cache_lookups_total",
    "counter",
    "Lookups by result: `exact`, `resume`, `longest_prefix`, `miss`.",
    ("result",),
)
SAVES = Family("erllama_cache_saves_total", "counter", "Blocks that were saved, by reason.", ("reason",))
DROPPED = Family("erllama_cache_saves_dropped_total", "counter", "Blocks that were not saved.")
EVICTED = Family("erllama_cache_evictions_total", "counter", "Blocks that made room on disk.")
QUARANTINED = Family("erllama_cache_quarantined_total", "counter", "Damaged blocks that were set aside.")
WRITTEN = Family("erllama_cache_written_bytes_total", "counter", "Bytes written to the disk.")
READ = Family("erllama_cache_read_bytes_total", "counter", "Bytes read from the disk.")
CACHE_TOKENS = Family(
    "erllama_cache_tokens_total",
    "counter",
    "Tokens of prompts by what became of them: `reused` or `prefilled`.",
    ("result",),
)
SAVED = Family("erllama_cache_saved_seconds_total", "counter", "How long it once took to compute what was reused.")

ANSWERED = (
    HTTP_REQUESTS,
    ANSWERS,
    HITS,
    PROMPT_TOKENS,
    GENERATED_TOKENS,
    FIRST_TOKEN,
    BETWEEN_TOKENS,
    QUEUE,
    RESTORE,
    PREFILL,
    ANSWER,
)
"""What is counted as it happens, since the daemon started."""

NOW = (
    REQUESTS,
    CONNECTIONS,
    UPTIME,
    BUILD_INFO,
    MODELS,
    MODEL_QUEUED,
    MODEL_RUNNING,
    MODEL_PARALLEL,
    MODEL_LIVE,
    MODEL_CONTEXT,
    MODEL_MEMORY,
    DEATHS,
)
"""What is looked at when it is asked for."""

CACHE = (
    TIER_BYTES,
    TIER_BLOCKS,
    TIER_QUOTA,
    FOREIGN,
    WRITTEN_TODAY,
    WRITE_QUOTA,
    LOOKUPS,
    SAVES,
    DROPPED,
    EVICTED,
    QUARANTINED,
    WRITTEN,
    READ,
    CACHE_TOKENS,
    SAVED,
)
"""What is read from the cache's folder when it is asked for."""
