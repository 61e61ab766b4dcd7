"""What a request must be before anything runs: each check raises a usage error that names what is wrong."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping, Sequence
from pathlib import PurePath

import msgspec

from erllama_daemon.choices import LOGPROBS_LIMIT
from erllama_daemon.errors import EmbeddingEmpty, GrammarInvalid, JsonSchemaInvalid, PromptEmpty, RequestInvalid
from erllama_daemon.messages import (
    AdapterChoice,
    AdapterRequest,
    CompleteRequest,
    EmbedRequest,
    ExplainRequest,
    ForgetRequest,
    Message,
    ModelOptions,
    RecomputeRequest,
    RenderRequest,
    Sampling,
)
from erllama_daemon.messages.limits import GRAMMAR_BYTES_LIMIT, JSON_SCHEMA_BYTES_LIMIT
from erllama_daemon.messages.tool_checks import check_tool_messages, check_tools

TOKEN_LIMIT = 1 << 32
INT_LIMIT = 1 << 31
STOP_STRINGS_LIMIT = 16
STOP_CHARACTERS_LIMIT = 1_000
LOGIT_BIAS_LIMIT = 1_024

_KEY = re.compile(r"[0-9a-fA-F]{64}")


def check_carriable(body: object) -> None:
    """Raises RequestInvalid if a decoded body holds a text or a number that no MessagePack frame can carry."""
    try:
        msgspec.msgpack.encode(body)
    except UnicodeError as error:
        raise RequestInvalid(reason="a text holds half a surrogate pair, which is no character") from error
    except OverflowError as error:
        raise RequestInvalid(reason="a whole number does not lie between -2^63 and 2^64 - 1") from error
    except RecursionError as error:
        raise RequestInvalid(reason="it is nested too deeply") from error


def float32(number: float) -> float:
    """A number as llama.cpp takes it; infinite if it is beyond that."""
    try:
        value: float = struct.unpack("<f", struct.pack("<f", number))[0]
    except OverflowError:
        return math.copysign(math.inf, number)
    return value


def check_complete(request: CompleteRequest) -> None:
    """Raises PromptEmpty, RequestInvalid, GrammarInvalid, JsonSchemaInvalid, ToolInvalid or ToolsInvalid."""
    _check_prompt(request)
    _require(
        {
            f"max_tokens must lie between 0 and {INT_LIMIT - 1}": 0 <= request.max_tokens < INT_LIMIT,
            "what only reads is no turn of a session": request.max_tokens > 0 or request.session is None,
            "after and seen go with a session": request.session is not None or request.after is request.seen is None,
        }
    )
    check_sampling(request.sampling)
    _check_stop(request.stop)
    _require(
        {f"logprobs must lie between 0 and {LOGPROBS_LIMIT}": _within(request.logprobs, 0, LOGPROBS_LIMIT)},
    )
    for adapter in request.adapters:
        check_adapter_choice(adapter)
    _check_cache(request)
    check_tools(request)
    check_options(request.options)


def check_tokens(tokens: Sequence[int]) -> None:
    """Raises RequestInvalid unless each token is a u32."""
    for token in tokens:
        if not 0 <= token < TOKEN_LIMIT:
            raise RequestInvalid(reason=f"{token} is no token: they lie between 0 and {TOKEN_LIMIT - 1}")


def check_sampling(sampling: Sampling) -> None:
    """Raises RequestInvalid, GrammarInvalid or JsonSchemaInvalid. NaN lies within no limits."""
    _require(
        {
            "temperature must be a 32-bit number from 0 up": sampling.temperature >= 0
            and math.isfinite(float32(sampling.temperature)),
            "top_k must be 0 or more": 0 <= sampling.top_k < INT_LIMIT,
            "top_p must lie between 0 and 1": 0 <= sampling.top_p <= 1,
            "min_p must lie between 0 and 1": 0 <= sampling.min_p <= 1,
            "repeat_penalty must be a 32-bit number above 0": 0 < float32(sampling.repeat_penalty) < math.inf,
            "frequency_penalty must be a finite 32-bit number": math.isfinite(float32(sampling.frequency_penalty)),
            "presence_penalty must be a finite 32-bit number": math.isfinite(float32(sampling.presence_penalty)),
            "seed must lie between 0 and 4294967294": _within(sampling.seed, 0, 2**32 - 2),
            "grammar and json_schema exclude each other": sampling.grammar is None or sampling.json_schema is None,
            f"logit_bias has more than {LOGIT_BIAS_LIMIT} entries": len(sampling.logit_bias) <= LOGIT_BIAS_LIMIT,
            "logit_bias must hold finite 32-bit numbers": all(
                math.isfinite(float32(bias)) for bias in sampling.logit_bias.values()
            ),
        }
    )
    check_tokens(list(sampling.logit_bias))
    if sampling.grammar is not None:
        _check_grammar(sampling.grammar)
    if sampling.json_schema is not None:
        _check_json_schema(sampling.json_schema)


def check_options(options: ModelOptions) -> None:
    """Raises RequestInvalid for an option out of range."""
    keep_alive_s = options.keep_alive_s
    _require(
        {
            "context_size must lie between 1 and 16777216": _within(options.context_size, 1, 1 << 24),
            "parallel must lie between 1 and 64": _within(options.parallel, 1, 64),
            "threads must lie between 1 and 1024": _within(options.threads, 1, 1024),
            "fingerprint must be 64 hexadecimal digits": options.fingerprint is None
            or bool(_KEY.fullmatch(options.fingerprint)),
            "fingerprint goes with the fingerprint_mode fast_unsafe, and only with it": (options.fingerprint is None)
            == (options.fingerprint_mode != "fast_unsafe"),
            "gpu_layers must be -1 or more": _within(options.gpu_layers, -1, INT_LIMIT - 1),
            "keep_alive_s must be -1, or a number of seconds from 0 up": keep_alive_s is None
            or keep_alive_s == -1
            or 0 <= keep_alive_s < math.inf,
        }
    )


def check_explain(request: ExplainRequest) -> None:
    """Raises PromptEmpty without a question to a model, and RequestInvalid."""
    if request.messages or request.session is None:
        _check_messages(request.messages)
    for adapter in request.adapters:
        check_adapter_choice(adapter)


def check_recompute(request: RecomputeRequest) -> None:
    """Raises RequestInvalid for a number out of range."""
    _require(
        {
            f"count must lie between 1 and {INT_LIMIT - 1}": 1 <= request.count < INT_LIMIT,
            f"seed must lie between 0 and {INT_LIMIT - 1}": 0 <= request.seed < INT_LIMIT,
        }
    )


def check_embed(request: EmbedRequest) -> None:
    """Raises EmbeddingEmpty when there is nothing to embed."""
    for number, text in enumerate(request.texts or [""], start=1):
        if not text:
            raise EmbeddingEmpty(number=number)


def check_render(request: RenderRequest) -> None:
    """Raises PromptEmpty without messages, and RequestInvalid for calls or results that no template can write."""
    if not request.messages:
        raise PromptEmpty
    check_tool_messages(request.messages, follows=False)


def check_adapter_load(request: AdapterRequest) -> None:
    """Raises RequestInvalid unless it names a file and a scale."""
    check_adapter_choice(AdapterChoice(request.adapter, request.scale))


def check_adapter_named(request: AdapterRequest) -> None:
    """Raises RequestInvalid unless it names an adapter and a scale."""
    _require(
        {
            "it names no adapter": bool(request.adapter),
            "an adapter's scale must be a finite 32-bit number": math.isfinite(float32(request.scale)),
        }
    )


def check_forget(request: ForgetRequest) -> None:
    """Raises RequestInvalid unless it names keys, or everything."""
    _require(
        {
            "it names both keys and everything, or neither": bool(request.keys) != request.everything,
            "a key must be 64 hexadecimal digits": all(map(_KEY.fullmatch, request.keys)),
        }
    )


def check_adapter_choice(adapter: AdapterChoice) -> None:
    """Raises RequestInvalid unless the path is absolute and the scale finite."""
    _require(
        {
            "an adapter's path must be absolute": PurePath(adapter.path).is_absolute() and "\0" not in adapter.path,
            "an adapter's scale must be a finite 32-bit number": math.isfinite(float32(adapter.scale)),
        }
    )


def _check_prompt(request: CompleteRequest) -> None:
    if request.tokens is not None:
        _require(
            {
                "it has both messages and tokens": not request.messages,
                "a session takes messages, not tokens": request.session is None,
            }
        )
        check_tokens(request.tokens)
        if not request.tokens:
            raise PromptEmpty
    else:
        _check_messages(request.messages)
        follows = request.session is not None or request.parent_key is not None
        check_tool_messages(request.messages, follows=follows)
    if request.parent_key is not None:
        _require(
            {
                "a session knows its parent key": request.session is None,
                "parent_key must be 64 hexadecimal digits": bool(_KEY.fullmatch(request.parent_key)),
            }
        )


def _check_messages(messages: Sequence[Message]) -> None:
    if not messages or not (messages[-1].text.strip() or messages[-1].role == "tool"):
        raise PromptEmpty


def _check_cache(request: CompleteRequest) -> None:
    demand = request.require_cached
    _require(
        {
            "a private request has a cache of its own; it takes no cache: false": request.cache or not request.private,
            "what leaves the cache alone can demand nothing of it": request.cache or demand is None,
            f"require_cached must lie between 1 and {INT_LIMIT - 1}": isinstance(demand, str)
            or _within(demand, 1, INT_LIMIT - 1),
        }
    )


def _check_stop(stop: Sequence[str]) -> None:
    longest = max(map(len, stop), default=0)
    _require(
        {
            "a stop string is empty": all(stop),
            f"it has more than {STOP_STRINGS_LIMIT} stop strings": len(stop) <= STOP_STRINGS_LIMIT,
            f"a stop string has more than {STOP_CHARACTERS_LIMIT} characters": longest <= STOP_CHARACTERS_LIMIT,
        }
    )


def _check_grammar(grammar: str) -> None:
    if len(grammar.encode()) > GRAMMAR_BYTES_LIMIT:
        raise GrammarInvalid(reason=f"it has more than {GRAMMAR_BYTES_LIMIT} bytes")
    if "\0" in grammar:
        raise GrammarInvalid(reason="it holds a NUL character")


def _check_json_schema(schema: str) -> None:
    if len(schema.encode()) > JSON_SCHEMA_BYTES_LIMIT:
        raise JsonSchemaInvalid(reason=f"it has more than {JSON_SCHEMA_BYTES_LIMIT} bytes")
    try:
        msgspec.json.decode(schema)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise JsonSchemaInvalid(reason=f"it is not JSON: {error}") from error


def _within(value: int | None, low: int, high: int) -> bool:
    """Whether a number lies between two others, both included. What is not given does."""
    return value is None or low <= value <= high


def _require(conditions: Mapping[str, bool]) -> None:
    """Raises RequestInvalid with the first reason that does not hold."""
    for reason, holds in conditions.items():
        if not holds:
            raise RequestInvalid(reason=reason)
