"""An engine on the fake backend, as a worker would put it together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fake_backend import FakeBackend

from erllama_cache.keys import pack_tokens
from erllama_cache.policy import Policy
from erllama_cache.store import Store
from erllama_daemon.engine.adapters import AdapterShelf
from erllama_daemon.engine.engine import Engine
from erllama_daemon.engine.generation import Generation, GenerationState
from erllama_daemon.engine.parents import Parents
from erllama_daemon.frames import Generate, History
from erllama_daemon.messages import Message, Sampling
from erllama_daemon.worker.preparation import Preparation

BLOCK_TOKENS = 32
FINGERPRINT = b"f" * 32


def new_shelf(backend: FakeBackend, store: Store, fingerprint: bytes = FINGERPRINT) -> AdapterShelf:
    return AdapterShelf(backend, "fake", fingerprint, store.directory / "fingerprints.sqlite3")


def new_parents(backend: FakeBackend, store: Store, engine: Engine) -> Parents:
    return Parents(store, engine.inspection, backend.vocabulary, BLOCK_TOKENS)


def new_preparation(
    backend: FakeBackend, store: Store, engine: Engine, fingerprint: bytes = FINGERPRINT
) -> Preparation:
    return Preparation(backend, "fake", fingerprint, new_parents(backend, store, engine))


def new_engine(
    backend: FakeBackend,
    store: Store,
    *,
    parallel: int = 1,
    policy: Policy | None = None,
    shelf: AdapterShelf | None = None,
) -> Engine:
    return Engine(
        backend,
        store,
        shelf or new_shelf(backend, store),
        model="fake",
        block_tokens=BLOCK_TOKENS,
        parallel=parallel,
        policy=policy,
    )


class Machine:
    """An engine with a fake backend, as one worker process would hold them."""

    def __init__(
        self,
        store: Store,
        *,
        policy: Policy | None = None,
        fingerprint: bytes = FINGERPRINT,
        backend: FakeBackend | None = None,
    ) -> None:
        self.store = store
        self.backend = backend or FakeBackend()
        self.shelf = new_shelf(self.backend, store, fingerprint)
        self.engine = new_engine(self.backend, store, shelf=self.shelf, policy=policy)
        self.preparation = new_preparation(self.backend, store, self.engine, fingerprint)

    def run(self, text: str | list[str], **options: Any) -> Generation:
        """A request from beginning to end; takes what `start` takes."""
        return self.end(self.start(text, **options))

    def start(
        self,
        text: str | list[str],
        *,
        history: History | None = None,
        max_tokens: int = 40,
        answer: str | None = None,
        in_company: bool = False,
        before: Sequence[Message] = (),
        **options: Any,
    ) -> Generation:
        """A request whose prompt has been read."""
        if answer is not None:
            self.backend.answer_with(answer)
        self.backend.decodes.clear()
        parts = [text] if isinstance(text, str) else text
        generation = Generation(
            Generate(
                id=1,
                messages=[*before, Message("user", parts)],
                history=history,
                max_tokens=max_tokens,
                sampling=Sampling(temperature=0.0),
                logits_digest=True,
                **options,
            )
        )
        self.preparation.prepare(generation)
        self.engine.admit(generation)
        while generation.state is not GenerationState.GENERATING:
            self.engine.prefill(generation)
        assert not in_company or self.engine.make_way()
        return generation

    def end(self, generation: Generation) -> Generation:
        """The rest of a request that was started."""
        while generation.finish_reason is None:
            self.engine.decode([generation])
            self.engine.sample(generation)
        self.engine.finish(generation)
        for save in generation.saves:
            save.result(timeout=10)
        return generation


def digest(generation: Generation) -> str:
    assert generation.digest is not None
    return generation.digest.hexdigest()


def history_of(generation: Generation, said: list[Message]) -> History:
    return History(
        messages=said,
        tokens=pack_tokens(generation.tokens),
        finish_key=generation.tail_key,
        fingerprint=FINGERPRINT.hex(),
    )
