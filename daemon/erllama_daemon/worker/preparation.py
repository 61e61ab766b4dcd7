"""What is done for a request before it is its turn: its prompt is rendered and tokenized, its grammar compiled."""

from __future__ import annotations

import msgspec

from erllama_daemon.engine.answer_text import AnswerText
from erllama_daemon.engine.backend import Backend
from erllama_daemon.engine.call_rules import call_rules
from erllama_daemon.engine.generation import Generation
from erllama_daemon.engine.parents import Parents
from erllama_daemon.engine.prompt import build_prompt
from erllama_daemon.errors import ContextExceeded, NotSupported
from erllama_daemon.frames import Generate
from erllama_daemon.template.chat import ChatTemplate
from erllama_daemon.thinking import thinking_markers

LONGEST_TOKEN_BYTES = 256
"""More than any vocabulary's longest token has: a text that is longer than a context full of these fits none."""


class Preparation:
    """Touches no buffer and changes nothing in the cache, so it has a thread of its own and no answer waits for a slow
    template.

    All calls from one thread.
    """

    def __init__(self, backend: Backend, model: str, fingerprint: bytes, parents: Parents) -> None:
        facts = backend.facts
        self._backend = backend
        self._model = model
        self._fingerprint = fingerprint.hex()
        self._parents = parents
        self._template = ChatTemplate(facts.chat_template, bos_text=facts.bos_text, eos_text=facts.eos_text)

    @property
    def context_size(self) -> int:
        """How many tokens the model holds in mind."""
        return self._backend.facts.context_size

    def prepare(self, generation: Generation) -> None:
        """Gives the request its prompt, its sampler and its answer's text.

        Raises PromptEmpty, TokenUnknown, ParentUnknown, RequestInvalid, TemplateFailed, ContextExceeded,
        GrammarInvalid, JsonSchemaInvalid, ToolInvalid, ToolsInvalid and NotSupported.
        """
        if not self._backend.facts.can_generate:
            raise NotSupported(model=self._model, what="generate text")
        request = generation.request
        _check_length(request, self.context_size)
        prompt = build_prompt(
            request,
            self._backend,
            self._template,
            self._fingerprint,
            parent=self._parent_tokens(request),
            recall=self._parents.recall(request),
        )
        markers = thinking_markers(self._backend.facts.chat_template, prompt.text)
        calls = call_rules(request, self._template, prompt.tokens)
        sampling = request.sampling
        if calls is not None and calls.are_demanded:
            sampling = msgspec.structs.replace(sampling, grammar=None, json_schema=None)
        generation.sampler = self._backend.sampler(sampling, generation.seed, prompt.tokens)
        if calls is not None and calls.are_demanded:
            generation.sampler.follow(calls.whole(markers))
        generation.answer = AnswerText(request.stop, markers, None if calls is None else calls.split())
        generation.markers = (markers.opening, markers.closing) if markers is not None else ()
        generation.markers += () if calls is None else calls.markers
        generation.calls = calls
        generation.give(prompt)

    def _parent_tokens(self, request: Generate) -> list[int] | None:
        """Those that the messages follow, if the request gives no more of them than their key."""
        if request.parent_key is None or request.history is not None or request.tokens is not None:
            return None
        return self._parents.tokens(request.parent_key)


def _check_length(request: Generate, context_size: int) -> None:
    """Raises ContextExceeded for messages that cannot fit, before they are read: that takes a second a megabyte."""
    sizes = [len(message.text.encode()) for message in request.messages]
    size = max(sizes, default=0) if request.overflow == "drop" else sum(sizes)
    if size > context_size * LONGEST_TOKEN_BYTES:
        in_conversation = request.history is not None
        raise ContextExceeded(tokens=size // LONGEST_TOKEN_BYTES, limit=context_size, in_conversation=in_conversation)
