"""What a model is asked for besides answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from erllama_cache.keys import pack_tokens, unpack_tokens
from erllama_daemon import frames
from erllama_daemon.errors import EmbeddingEmpty, InternalError
from erllama_daemon.http.model_file import check_adapter_files, model_file
from erllama_daemon.http.vectors import unpack_vector
from erllama_daemon.messages import (
    AdapterChoice,
    AdapterList,
    AdapterRequest,
    Detokenized,
    DetokenizeRequest,
    Embeddings,
    EmbedRequest,
    RenderedPrompt,
    RenderRequest,
    Tokenized,
    TokenizeRequest,
)
from erllama_daemon.messages.checks import (
    check_adapter_load,
    check_adapter_named,
    check_embed,
    check_render,
    check_tokens,
)
from erllama_daemon.models.supervisor import Supervisor

_Answer = TypeVar("_Answer")


class Calls:
    """Each loads its model if it is not loaded, and is answered while that is busy, too.

    Each raises what its check raises, what finding and loading the model raises, and what the worker answers.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    async def tokenize(self, request: TokenizeRequest) -> Tokenized:
        """The tokens of a text."""
        call = frames.Tokenize(self._supervisor.next_id(), request.text, request.first)
        answer = await self._call(request.model, call, frames.Tokens)
        return Tokenized(unpack_tokens(answer.tokens), answer.pieces)

    async def detokenize(self, request: DetokenizeRequest) -> Detokenized:
        """The text of some tokens."""
        check_tokens(request.tokens)
        call = frames.Detokenize(self._supervisor.next_id(), pack_tokens(request.tokens))
        return Detokenized((await self._call(request.model, call, frames.Detokenized)).text)

    async def render(self, request: RenderRequest) -> RenderedPrompt:
        """What the chat template makes of messages, as text and as tokens."""
        check_render(request)
        call = frames.Render(self._supervisor.next_id(), request.messages, request.tools)
        answer = await self._call(request.model, call, frames.Rendered)
        return RenderedPrompt(answer.text, unpack_tokens(answer.tokens), answer.cuts)

    async def embed(self, request: EmbedRequest) -> Embeddings:
        """The embeddings of some texts."""
        embedded = await self.vectors(request)
        return Embeddings([*map(unpack_vector, embedded.vectors)], embedded.tokens, embedded.pooling)

    async def vectors(self, request: EmbedRequest) -> frames.Embedded:
        """The embeddings of some texts as the worker sends them."""
        check_embed(request)
        return await self._vectors(request.model, texts=request.texts)

    async def vectors_of_tokens(self, model: str, prompts: Sequence[Sequence[int]]) -> frames.Embedded:
        """The same of texts that are tokens already."""
        for number, tokens in enumerate(prompts or [()], start=1):
            if not tokens:
                raise EmbeddingEmpty(number=number)
            check_tokens(tokens)
        return await self._vectors(model, prompts=[*map(pack_tokens, prompts)])

    async def load_adapter(self, request: AdapterRequest) -> AdapterList:
        """Attaches an adapter for every request from now on."""
        check_adapter_load(request)
        await check_adapter_files([AdapterChoice(request.adapter, request.scale)])
        call = frames.LoadAdapter(self._supervisor.next_id(), request.adapter, request.scale)
        return await self._adapters(request.model, call)

    async def unload_adapter(self, request: AdapterRequest) -> AdapterList:
        """Detaches an adapter. One that is not attached is fine."""
        check_adapter_named(request)
        # Before the model is loaded, for that fails while an attached adapter's file is gone.
        self._supervisor.forget_adapter(await model_file(request.model), request.adapter)
        return await self._adapters(request.model, frames.UnloadAdapter(self._supervisor.next_id(), request.adapter))

    async def scale_adapter(self, request: AdapterRequest) -> AdapterList:
        """Changes how strongly an attached adapter is applied."""
        check_adapter_named(request)
        call = frames.ScaleAdapter(self._supervisor.next_id(), request.adapter, request.scale)
        return await self._adapters(request.model, call)

    async def list_adapters(self, model: str) -> AdapterList:
        """The adapters that are attached."""
        return await self._adapters(model, frames.ListAdapters(self._supervisor.next_id()))

    async def _vectors(
        self, model: str, *, texts: Sequence[str] = (), prompts: Sequence[bytes] = ()
    ) -> frames.Embedded:
        call = frames.Embed(self._supervisor.next_id(), [*texts], [*prompts])
        return await self._call(model, call, frames.Embedded)

    async def _adapters(self, model: str, call: frames.Call) -> AdapterList:
        answer = await self._call(model, call, frames.Adapters)
        return AdapterList(answer.adapters, answer.fingerprint)

    async def _call(self, model: str, call: frames.Call, kind: type[_Answer]) -> _Answer:
        answer = await self._supervisor.call(model, await model_file(model), call)
        if not isinstance(answer, kind):
            raise InternalError(reason=f"the worker answered {type(call).__name__} with {type(answer).__name__}")
        return answer
