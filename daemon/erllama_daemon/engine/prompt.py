"""From a request's messages to the exact tokens of its prompt, and where its blocks may end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from erllama_cache.keys import TOKEN_BYTES, unpack_tokens
from erllama_daemon.engine.backend import Backend
from erllama_daemon.engine.resent import Findings
from erllama_daemon.engine.segments import Segments
from erllama_daemon.errors import ContextExceeded, PromptEmpty, RequestInvalid, TokenUnknown
from erllama_daemon.frames import Generate, History
from erllama_daemon.messages import Message
from erllama_daemon.messages.tool_checks import check_tool_messages
from erllama_daemon.template.chat import ChatTemplate, Rendered
from erllama_daemon.template.habits import Tools

_ROOM_AFTER_DROP = 4
"""When old messages are dropped, this part of the context is made free: what is left has to be read again, so that no
turn soon after should have to drop more."""

_ROOM_FOR_ANSWER = 16
"""They are dropped, or summarized, when less than this part of the context is free for an answer that may be longer."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as tokens.

    `parent_key` is the chain that it extends, if it extends one, and `parent_end` that chain's length in tokens.
    `breakpoints` are token positions; `text` is what was rendered for this request. `messages` are all that it shows
    the model, None if nobody knows them. `note` says why a conversation could not be extended as it was, and
    `dropped_messages` how many of the oldest were left out.

    If the chain was found by its text, it was found under `root`, and the prompt's messages begin with it: `otherwise`
    gives the prompt without it, or raises ContextExceeded.
    """

    tokens: list[int]
    breakpoints: tuple[int, ...] = ()
    text: str = ""
    parent_key: bytes | None = None
    parent_end: int = 0
    messages: list[Message] | None = None
    note: str | None = None
    dropped_messages: int = 0
    root: bytes = b""
    otherwise: Callable[[], Prompt] | None = None


Recall = Callable[[Segments], Findings]
"""Looks for the stored chain that wrote the beginning of a text."""


def build_prompt(
    request: Generate,
    backend: Backend,
    template: ChatTemplate,
    fingerprint: str,
    *,
    parent: Sequence[int] | None = None,
    recall: Recall | None = None,
) -> Prompt:
    """The prompt of a request. A conversation's next turn extends its exact tokens: only new text is tokenized.

    `fingerprint` is the loaded model's: another model's tokens mean nothing to it. `parent` are the tokens of the chain
    that the messages follow, if the request gives nothing of it but its key. Without `recall`, messages are never taken
    for those of a chain that is there. Raises PromptEmpty, TokenUnknown, RequestInvalid, TemplateFailed and
    ContextExceeded.
    """
    limit = backend.facts.context_size
    if request.tokens is not None:
        prompt = _as_given(request, backend)
    elif not request.messages or not (request.messages[-1].text.strip() or request.messages[-1].role == "tool"):
        raise PromptEmpty
    elif parent is not None:
        prompt = _after_parent(request, parent, backend, template)
    else:
        prompt = _from_messages(request, backend, template, fingerprint, recall)
        if request.overflow == "drop":
            prompt = _made_to_fit(prompt, request, backend, template, recall)
    is_summarized = request.overflow == "summarize" and request.history is not None
    room = min(request.max_tokens, limit // _ROOM_FOR_ANSWER) if is_summarized else 0
    if len(prompt.tokens) + room >= limit:
        raise ContextExceeded(tokens=len(prompt.tokens), limit=limit, in_conversation=request.history is not None)
    return prompt


def _as_given(request: Generate, backend: Backend) -> Prompt:
    tokens = unpack_tokens(request.tokens or b"")
    if not tokens:
        raise PromptEmpty
    last = backend.facts.vocabulary_size - 1
    if max(tokens) > last:
        raise TokenUnknown(token=max(tokens), last=last)
    return Prompt(tokens, parent_key=request.parent_key)


def _after_parent(request: Generate, parent: Sequence[int], backend: Backend, template: ChatTemplate) -> Prompt:
    if request.messages[0].role == "system":
        raise RequestInvalid(reason="a system prompt belongs at the beginning, not after a parent key")
    return _extended(parent, request.parent_key, template.follow(request.messages, tools=request.tools), None, backend)


def _from_messages(
    request: Generate, backend: Backend, template: ChatTemplate, fingerprint: str, recall: Recall | None
) -> Prompt:
    history = request.history
    if history is None:
        return _from_start(request.messages, backend, template, recall, request.tools)
    before, new = _under_one_system_prompt(history.messages, request.messages)
    if not new:
        raise PromptEmpty
    everything = [*before, *new]
    check_tool_messages(everything, follows=False)
    tokens = _known_tokens(history, backend)
    if history.fingerprint != fingerprint:
        note = "the model is another one than before"
    elif before != history.messages:
        note = "the system prompt changed"
    elif tokens is None:
        note = "the saved tokens of the conversation are damaged"
    elif (extension := template.extend(before, new, tools=request.tools)) is None:
        note = "the chat template rewrote the conversation"
    elif request.tools and not _begins_so(tokens, before, request.tools, backend, template):
        note = "the tools changed"
    else:
        return _extended(tokens, history.finish_key, extension, everything, backend)
    return _from_start(everything, backend, template, recall, request.tools, note)


def _begins_so(
    tokens: Sequence[int], messages: Sequence[Message], tools: Tools, backend: Backend, template: ChatTemplate
) -> bool:
    """Whether a conversation begins with these tools: nobody keeps which ones its messages were shown with."""
    first = next((i for i, message in enumerate(messages) if message.role == "assistant"), len(messages))
    asked, _breakpoints = tokenize_rendered(template.render(messages[:first], tools=tools), backend)
    return list(tokens[: len(asked)]) == asked


def _under_one_system_prompt(before: Sequence[Message], new: Sequence[Message]) -> tuple[list[Message], list[Message]]:
    """Both, once a system prompt that comes with the new messages has taken the place of the one at the beginning.

    An empty one takes it away; one with the same text changes nothing.
    """
    if new[0].role != "system":
        return list(before), list(new)
    has_one = bool(before) and before[0].role == "system"
    is_same = has_one and before[0].text == new[0].text
    kept = [before[0]] if is_same else [new[0]] if new[0].text.strip() else []
    return [*kept, *(before[1:] if has_one else before)], list(new[1:])


def _known_tokens(history: History, backend: Backend) -> list[int] | None:
    """The tokens of a conversation; None if they cannot be what the model once read and said."""
    if not history.tokens or len(history.tokens) % TOKEN_BYTES:
        return None
    tokens = unpack_tokens(history.tokens)
    return tokens if max(tokens) < backend.facts.vocabulary_size else None


def _extended(
    parent: Sequence[int],
    parent_key: bytes | None,
    extension: Rendered,
    messages: list[Message] | None,
    backend: Backend,
) -> Prompt:
    tokens = list(parent)
    breakpoints = _append(tokens, _without_end(extension, tokens[-1], backend), backend)
    return Prompt(tokens, breakpoints, extension.text, parent_key=parent_key, parent_end=len(parent), messages=messages)


def _made_to_fit(
    prompt: Prompt, request: Generate, backend: Backend, template: ChatTemplate, recall: Recall | None
) -> Prompt:
    """The prompt, or if that leaves too little room for an answer, one without as many old messages as it takes."""
    limit = backend.facts.context_size
    if prompt.messages is None or len(prompt.tokens) + min(request.max_tokens, limit // _ROOM_FOR_ANSWER) < limit:
        return prompt
    shorter = _without_oldest(prompt.messages, limit // _ROOM_AFTER_DROP, backend, template, recall, request.tools)
    is_better = shorter.dropped_messages > 0 or len(shorter.tokens) < limit <= len(prompt.tokens)
    return shorter if is_better else prompt


def _without_oldest(
    messages: Sequence[Message],
    room: int,
    backend: Backend,
    template: ChatTemplate,
    recall: Recall | None,
    tools: Tools,
) -> Prompt:
    """The conversation without as many of its oldest messages as it takes; system prompts and the question stay."""
    left = list(messages)
    prompt = _from_start(left, backend, template, recall, tools, "the conversation was read again to make it fit")
    while len(prompt.tokens) + room > backend.facts.context_size and (turn := _oldest_turn(left)) is not None:
        del left[turn]
        prompt = _from_start(left, backend, template, recall, tools, "the oldest messages were left out")
    return replace(prompt, dropped_messages=len(messages) - len(left))


def _oldest_turn(messages: Sequence[Message]) -> slice | None:
    """Where the first question and its answer stand; None if there is none before the last message.

    What a tool was called for stays as long as its result is the last message.
    """
    last = len(messages) - 1
    start = next((i for i in range(last) if messages[i].role != "system"), None)
    if start is None:
        return None
    end = next((i for i in range(start + 1, last) if messages[i].role == "user"), None)
    if end is None and messages[last].role == "tool":
        return None
    return slice(start, last if end is None else end)


def tokenize_rendered(rendered: Rendered, backend: Backend) -> tuple[list[int], tuple[int, ...]]:
    """The tokens of a prompt from its very beginning, and the positions among them where blocks may end."""
    whole = Segments(rendered, backend.vocabulary, backend.facts.bos_text).whole()
    return whole.tokens, whole.breakpoints


def _from_start(
    messages: Sequence[Message],
    backend: Backend,
    template: ChatTemplate,
    recall: Recall | None,
    tools: Tools,
    note: str | None = None,
) -> Prompt:
    rendered, limit = template.render(messages, tools=tools), backend.facts.context_size
    segments = Segments(rendered, backend.vocabulary, backend.facts.bos_text)

    def whole(note: str | None = note) -> Prompt:
        stretch = segments.whole()
        return Prompt(stretch.tokens, stretch.breakpoints, rendered.text, messages=list(messages), note=note)

    def whole_if_it_fits() -> Prompt:
        prompt = whole()
        if len(prompt.tokens) >= limit:
            raise ContextExceeded(tokens=len(prompt.tokens), limit=limit)
        return prompt

    found = recall(segments) if recall is not None else Findings()
    prompt = _after_place(found, segments)
    if prompt is None or len(prompt.tokens) >= limit:
        return whole(note or found.note)
    return replace(
        prompt,
        text=rendered.text,
        messages=list(messages),
        note=note or found.note,
        otherwise=whole_if_it_fits,
    )


def _after_place(found: Findings, segments: Segments) -> Prompt | None:
    """The prompt that goes on from the chain that was found: only what follows its text is tokenized."""
    place = found.place
    if place is None:
        return None
    end, rest = len(place.tokens), segments.stretch(place.offset, len(segments.data))
    tokens, breakpoints = [*place.tokens, *rest.tokens], (end, *(end + point for point in rest.breakpoints))
    return Prompt(tokens, breakpoints, parent_key=place.key, parent_end=end, root=found.root)


def _append(tokens: list[int], rendered: Rendered, backend: Backend) -> tuple[int, ...]:
    breakpoints = []
    for segment in rendered.segments():
        tokens.extend(backend.vocabulary.tokenize(segment, first=False))
        breakpoints.append(len(tokens))
    return tuple(breakpoints[:-1])


def _without_end(rendered: Rendered, last_token: int, backend: Backend) -> Rendered:
    """The extension without the end token that the template writes after an answer, if the model wrote it itself."""
    written = backend.vocabulary.control_text(last_token) if backend.vocabulary.is_end(last_token) else ""
    if not written or not rendered.text.startswith(written):
        return rendered
    cut = len(written)
    return Rendered(rendered.text[cut:], tuple(max(0, position - cut) for position in rendered.breakpoints))
