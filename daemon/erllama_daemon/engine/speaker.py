"""The step from logits to the next token and its text."""

from __future__ import annotations

import time

from erllama_daemon.engine.answer_text import Said
from erllama_daemon.engine.backend import Logits, Sampler, Vocabulary
from erllama_daemon.engine.generation import Generation
from erllama_daemon.engine.logprobs import token_logprobs
from erllama_daemon.engine.watchdog import Watchdog
from erllama_daemon.errors import DecodeFailed, GrammarInvalid, JsonSchemaInvalid

GRAMMAR_STEP_S = 20.0
"""How long the choice of one token may take before the worker is ended: an ambiguous grammar can cost exponential time
in native code."""

GRAMMAR_CPU_S = 2.0
"""How much computing the choice of one token may take before its request is refused: each choice may double it."""


class Speaker:
    """Samples, and says when an answer ends: at an end token, a stop sequence, or a limit."""

    def __init__(self, vocabulary: Vocabulary, context_size: int) -> None:
        self._vocabulary = vocabulary
        self._context_size = context_size
        self._watchdog = Watchdog(GRAMMAR_STEP_S)

    def speak(self, generation: Generation) -> list[Said]:
        """Appends one token and gives the text it completes. Sets `finish_reason` when it was the last one.

        Raises DecodeFailed if there are no logits.
        """
        token = self._next_token(generation)
        generation.tokens.append(token)
        answer = generation.answer
        if self._vocabulary.is_end(token):
            generation.finish_reason = "stop"
            return answer.add(b"", last=True)
        full = len(generation.tokens) >= self._context_size
        if full or generation.completion_tokens >= generation.request.max_tokens:
            generation.finish_reason = "length"
        spans = answer.add(self._piece(generation, token), last=generation.finish_reason is not None)
        if answer.is_thinking:
            generation.thinking_tokens = generation.completion_tokens
        if answer.stop_sequence is not None:
            generation.finish_reason = "stop"
        self._rule_calls(generation)
        return spans

    def _rule_calls(self, generation: Generation) -> None:
        """Has the model write a call, once it has begun to, as its tool takes it."""
        written, rules = generation.answer.begun_call, generation.calls
        if written is None or rules is None or rules.are_in_force or generation.sampler is None:
            return
        grammar = rules.rest(written)
        if grammar is not None:
            generation.sampler.follow(grammar)

    def _next_token(self, generation: Generation) -> int:
        logits = generation.logits
        if logits is None or generation.sampler is None:
            raise DecodeFailed(reason="there are no logits to sample from")
        if generation.digest is not None:
            generation.digest.update(logits.data)
        token = self._sample(generation, generation.sampler, logits)
        if generation.logprobs is not None:
            top = generation.request.logprobs or 0
            generation.logprobs.append(token_logprobs(logits, token, top, self._vocabulary.control_text))
        if generation.clock.first_token is None:
            generation.clock.first_token = time.monotonic()
        return token

    def _sample(self, generation: Generation, sampler: Sampler, logits: Logits) -> int:
        sampling = generation.request.sampling
        is_free = generation.calls is None or not generation.calls.are_in_force
        if sampling.grammar is None and sampling.json_schema is None and is_free:
            return sampler.sample(logits)
        with self._watchdog.watch(f"a step of the grammar of request {generation.id}"):
            started = time.thread_time()
            token = sampler.sample(logits)
        if time.thread_time() - started > GRAMMAR_CPU_S:
            error = JsonSchemaInvalid if sampling.grammar is None else GrammarInvalid
            raise error(reason="it can be followed in too many ways at once")
        return token

    def _piece(self, generation: Generation, token: int) -> bytes:
        """The token's bytes; a control token has none, unless it marks thinking or a call."""
        piece = self._vocabulary.piece(token)
        if piece:
            return piece
        text = self._vocabulary.control_text(token)
        return text.encode() if text in generation.markers else b""
