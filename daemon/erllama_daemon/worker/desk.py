"""What a worker can tell of texts and tokens without its engine."""

from __future__ import annotations

from erllama_cache.cuts import cuts
from erllama_cache.keys import pack_tokens, unpack_tokens
from erllama_daemon import frames
from erllama_daemon.engine.backend import Backend
from erllama_daemon.engine.generation import Generation
from erllama_daemon.engine.parents import Parents
from erllama_daemon.engine.prompt import Prompt, build_prompt, tokenize_rendered
from erllama_daemon.errors import TokenUnknown
from erllama_daemon.messages import Sampling
from erllama_daemon.template.chat import ChatTemplate


class Desk:
    """Tokenizes, detokenizes and renders; `fingerprint` is that of the model's file. All calls from one thread."""

    def __init__(self, backend: Backend, block_tokens: int, fingerprint: bytes, parents: Parents) -> None:
        facts = backend.facts
        self._backend = backend
        self._block_tokens = block_tokens
        self._fingerprint = fingerprint.hex()
        self._parents = parents
        self._template = ChatTemplate(facts.chat_template, bos_text=facts.bos_text, eos_text=facts.eos_text)

    def tokenize(self, call: frames.Tokenize) -> frames.Tokens:
        """The tokens of a text, control tokens recognised."""
        vocabulary = self._backend.vocabulary
        tokens = vocabulary.tokenize(call.text, first=call.first)
        return frames.Tokens(call.id, pack_tokens(tokens), [vocabulary.control_text(token) for token in tokens])

    def detokenize(self, call: frames.Detokenize) -> frames.Detokenized:
        """The text of some tokens, control tokens written out. Raises TokenUnknown."""
        vocabulary = self._backend.vocabulary
        tokens = unpack_tokens(call.tokens)
        last = self._backend.facts.vocabulary_size - 1
        if tokens and max(tokens) > last:
            raise TokenUnknown(token=max(tokens), last=last)
        pieces = (vocabulary.piece(token) or vocabulary.control_text(token).encode() for token in tokens)
        return frames.Detokenized(call.id, b"".join(pieces).decode("utf-8", "replace"))

    def unasked(self, call: frames.Explain) -> Generation:
        """A request that will never run, with its prompt. Raises as `build_prompt`."""
        request = frames.Generate(
            id=call.id,
            messages=call.messages,
            history=call.history,
            max_tokens=1,
            sampling=Sampling(),
            adapters=call.adapters,
            reproducible=call.reproducible,
            scope=call.scope,
        )
        history, generation = call.history, Generation(request)
        if history is None or call.messages:
            recall = self._parents.recall(request)
            prompt = build_prompt(request, self._backend, self._template, self._fingerprint, recall=recall)
        else:  # the conversation as it stands, even if it leaves no room for another turn
            tokens = unpack_tokens(history.tokens)
            prompt = Prompt(tokens, parent_key=history.finish_key, parent_end=len(tokens))
        generation.give(prompt)
        return generation

    def render(self, call: frames.Render) -> frames.Rendered:
        """What the model would be asked. Raises TemplateFailed."""
        rendered = self._template.render(call.messages, tools=call.tools)
        tokens, breakpoints = tokenize_rendered(rendered, self._backend)
        ends = cuts(len(tokens), breakpoints, block_tokens=self._block_tokens)
        return frames.Rendered(call.id, rendered.text, pack_tokens(tokens), ends)
