"""An engine on the fake backend, as a worker would put it together."""

from __future__ import annotations

from fake_backend import FakeBackend

from erllama_cache.policy import Policy
from erllama_cache.store import Store
from erllama_daemon.engine.adapters import AdapterShelf
from erllama_daemon.engine.engine import Engine
from erllama_daemon.worker.preparation import Preparation

BLOCK_TOKENS = 32
FINGERPRINT = b"f" * 32


def new_shelf(backend: FakeBackend, store: Store) -> AdapterShelf:
    return AdapterShelf(backend, "fake", FINGERPRINT, store.directory / "fingerprints.sqlite3")


def new_preparation(backend: FakeBackend) -> Preparation:
    return Preparation(backend, "fake", FINGERPRINT)


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
