"""From a request's messages to the exact tokens of its prompt, and where its blocks may end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from erllama_cache.keys import unpack_tokens
from erllama_daemon.engine.backend import Backend
from erllama_daemon.errors import ContextExceeded, PromptEmpty, TokenUnknown
from erllama_daemon.frames import Generate
from erllama_daemon.messages import Message
from erllama_daemon.template.chat import ChatTemplate, Rendered

_LEAST_ROOM_FOR_ANSWER = 4
"""When old messages are dropped, at least this part of the context is made free for the answer, if it is that long."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as tokens.

    `parent_key` is the chain that it extends, if it extends one, and `parent_end` that chain's length in tokens.
    `breakpoints` are token positions; `text` is what was rendered for this request. `note` says why a conversation
    could not be extended as it was, and `dropped_messages` how many of the oldest were left out.
    """

    tokens: list[int]
    breakpoints: tuple[int, ...] = ()
    text: str = ""
    parent_key: bytes | None = None
    parent_end: int = 0
    note: str | None = None
    dropped_messages: int = 0


def build_prompt(request: Generate, backend: Backend, template: ChatTemplate, fingerprint: str) -> Prompt:
    """The prompt of a request. A conversation's next turn extends its exact tokens: only new text is tokenized.

    `fingerprint` is the loaded model's: another model's tokens mean nothing to it. Raises PromptEmpty, TokenUnknown,
    TemplateFailed and ContextExceeded.
    """
    limit = backend.facts.context_size
    if request.tokens is not None:
        prompt = _as_given(request, backend)
    elif not request.messages or not request.messages[-1].text.strip():
        raise PromptEmpty
    else:
        prompt = _from_messages(request, backend, template, fingerprint)
        if len(prompt.tokens) >= limit and request.overflow == "drop":
            prompt = _without_oldest(request, backend, template)
    if len(prompt.tokens) >= limit:
        raise ContextExceeded(tokens=len(prompt.tokens), limit=limit)
    return prompt


def _as_given(request: Generate, backend: Backend) -> Prompt:
    tokens = unpack_tokens(request.tokens or b"")
    if not tokens:
        raise PromptEmpty
    last = backend.facts.vocabulary_size - 1
    if max(tokens) > last:
        raise TokenUnknown(token=max(tokens), last=last)
    return Prompt(tokens, parent_key=request.parent_key)


def _from_messages(request: Generate, backend: Backend, template: ChatTemplate, fingerprint: str) -> Prompt:
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
    return Prompt(tokens, breakpoints, extension.text, parent_key=history.finish_key, parent_end=start)


def _without_oldest(request: Generate, backend: Backend, template: ChatTemplate) -> Prompt:
    """The conversation without as many of its oldest messages as it takes; system prompts and the question stay."""
    limit = backend.facts.context_size
    room = min(request.max_tokens, limit // _LEAST_ROOM_FOR_ANSWER)
    messages = [*(request.history.messages if request.history else []), *request.messages]
    before = len(messages)
    prompt = _from_start(template.render(messages), backend)
    while len(prompt.tokens) + room > limit and (turn := _oldest_turn(messages)) is not None:
        del messages[turn]
        prompt = _from_start(template.render(messages), backend, note="the oldest messages were left out")
    return replace(prompt, dropped_messages=before - len(messages))


def _oldest_turn(messages: Sequence[Message]) -> slice | None:
    """Where the first question and its answer stand; None if there is none before the last message."""
    last = len(messages) - 1
    start = next((i for i in range(last) if messages[i].role != "system"), None)
    if start is None:
        return None
    return slice(start, next((i for i in range(start + 1, last) if messages[i].role == "user"), last))


def tokenize_rendered(rendered: Rendered, backend: Backend) -> tuple[list[int], tuple[int, ...]]:
    """The tokens of a prompt from its very beginning, and the positions among them where blocks may end."""
    tokens: list[int] = []
    bos_text = backend.facts.bos_text
    writes_bos = bool(bos_text) and rendered.text.startswith(bos_text)
    breakpoints = _append(tokens, rendered, backend, first=not writes_bos)
    return tokens, breakpoints


def _from_start(rendered: Rendered, backend: Backend, note: str | None = None) -> Prompt:
    tokens, breakpoints = tokenize_rendered(rendered, backend)
    return Prompt(tokens, breakpoints, rendered.text, note=note)


def _append(tokens: list[int], rendered: Rendered, backend: Backend, *, first: bool = False) -> tuple[int, ...]:
    breakpoints = []
    for segment in rendered.segments():
        tokens.extend(backend.vocabulary.tokenize(segment, first=first))
        breakpoints.append(len(tokens))
        first = False
    return tuple(breakpoints[:-1])


def _without_end(rendered: Rendered, last_token: int, backend: Backend) -> Rendered:
    """The extension without the end token that the template writes after an answer, if the model wrote it itself."""
    written = backend.vocabulary.control_text(last_token) if backend.vocabulary.is_end(last_token) else ""
    if not written or not rendered.text.startswith(written):
        return rendered
    cut = len(written)
    return Rendered(rendered.text[cut:], tuple(max(0, position - cut) for position in rendered.breakpoints))
