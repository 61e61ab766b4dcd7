"""From a request's messages to the exact tokens of its prompt, and where its blocks may end."""

from __future__ import annotations

from dataclasses import dataclass

from erllama_cache.keys import unpack_tokens
from erllama_daemon.backend import Backend
from erllama_daemon.errors import PromptEmpty
from erllama_daemon.frames import Generate
from erllama_daemon.template import ChatTemplate, Rendered


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as tokens.

    `parent_key` is the chain that it extends, if it extends one, and `parent_end` that chain's length in tokens.
    `breakpoints` are token positions. `note` says why a conversation could not be extended as it was.
    """

    tokens: list[int]
    breakpoints: tuple[int, ...]
    parent_key: bytes | None = None
    parent_end: int = 0
    note: str | None = None


def build_prompt(request: Generate, backend: Backend, template: ChatTemplate, fingerprint: str) -> Prompt:
    """The prompt of a request. A conversation's next turn extends its exact tokens: only new text is tokenized.

    `fingerprint` is the loaded model's: another model's tokens mean nothing to it. Raises PromptEmpty and
    TemplateFailed.
    """
    if not request.messages or not request.messages[-1].text.strip():
        raise PromptEmpty
    history = request.history
    if history is None or not history.tokens:
        return _from_start(template.render(request.messages), backend)
    everything = [*history.messages, *request.messages]
    if history.fingerprint != fingerprint:
        return _from_start(template.render(everything), backend, note="the model is another one than before")
    extension = template.extend(history.messages, request.messages)
    if extension is None:
        return _from_start(template.render(everything), backend, note="the chat template rewrote the conversation")
    tokens = unpack_tokens(history.tokens)
    start = len(tokens)
    breakpoints = _append(tokens, _without_end(extension, tokens[-1], backend), backend)
    return Prompt(tokens, breakpoints, parent_key=history.finish_key, parent_end=start)


def _from_start(rendered: Rendered, backend: Backend, note: str | None = None) -> Prompt:
    tokens: list[int] = []
    bos_text = backend.facts.bos_text
    writes_bos = bool(bos_text) and rendered.text.startswith(bos_text)
    breakpoints = _append(tokens, rendered, backend, first=not writes_bos)
    return Prompt(tokens, breakpoints, note=note)


def _append(tokens: list[int], rendered: Rendered, backend: Backend, *, first: bool = False) -> tuple[int, ...]:
    breakpoints = []
    for segment in rendered.segments():
        tokens.extend(backend.tokenize(segment, first=first))
        breakpoints.append(len(tokens))
        first = False
    return tuple(breakpoints[:-1])


def _without_end(rendered: Rendered, last_token: int, backend: Backend) -> Rendered:
    """The extension without the end token that the template writes after an answer, if the model wrote it itself."""
    written = backend.control_text(last_token) if backend.is_end(last_token) else ""
    if not written or not rendered.text.startswith(written):
        return rendered
    cut = len(written)
    return Rendered(rendered.text[cut:], tuple(max(0, position - cut) for position in rendered.breakpoints))
