"""What a worker can tell of texts and tokens without its engine."""

from __future__ import annotations

from erllama_cache.cuts import cuts
from erllama_cache.keys import pack_tokens, unpack_tokens
from erllama_daemon import frames
from erllama_daemon.engine.backend import Backend
from erllama_daemon.engine.prompt import tokenize_rendered
from erllama_daemon.errors import TokenUnknown
from erllama_daemon.template.chat import ChatTemplate


class Desk:
    """Tokenizes, detokenizes and renders. All calls from one thread."""

    def __init__(self, backend: Backend, block_tokens: int) -> None:
        facts = backend.facts
        self._backend = backend
        self._block_tokens = block_tokens
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

    def render(self, call: frames.Render) -> frames.Rendered:
        """What the model would be asked. Raises TemplateFailed."""
        rendered = self._template.render(call.messages, tools=call.tools)
        tokens, breakpoints = tokenize_rendered(rendered, self._backend)
        ends = cuts(len(tokens), breakpoints, block_tokens=self._block_tokens)
        return frames.Rendered(call.id, rendered.text, pack_tokens(tokens), ends)
