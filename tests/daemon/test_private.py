"""Private requests on the fake backend: what they compute is nobody else's, and never on disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fake_engine import Machine, digest, history_of

from erllama_cache.block import SaveReason
from erllama_cache.disk.index import INDEX_NAME
from erllama_cache.keys import pack_tokens
from erllama_cache.ref import BlockRef
from erllama_cache.store import Store
from erllama_daemon.messages import Message

SECRET = "The treasure is buried under the third llama from the left, as everybody in the family knows. " * 2
RAM_BYTES = 1 << 20


@pytest.fixture(params=[RAM_BYTES, 0], ids=["ram", "no-ram"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "cache", ram_bytes=request.param, disk_bytes=1 << 24) as opened:
        yield opened


@pytest.fixture
def machine(store: Store) -> Iterator[Machine]:
    """After each test the disk holds nothing that was not there before."""
    store.flush()
    before = _files(store)
    yield Machine(store)
    store.flush()
    assert _files(store) == before
    assert _rows(store) == 0
    marks = (SECRET[:40].encode(), pack_tokens(list(SECRET[:10].encode())))
    for file in before:
        assert not any(mark in file.read_bytes() for mark in marks)


def _files(store: Store) -> list[Path]:
    return sorted(path for path in store.directory.rglob("*") if path.is_file())


def _rows(store: Store) -> int:
    """Everything that the index says of a block, also of one that went."""
    with closing(sqlite3.connect(store.directory / INDEX_NAME)) as database:
        query = "SELECT (SELECT count(*) FROM blocks) + (SELECT count(*) FROM departed)"
        return int(database.execute(query).fetchone()[0])


def test_a_private_answer_is_that_of_a_cold_run_and_leaves_nothing_on_disk(machine: Machine, tmp_path: Path) -> None:
    private = machine.run(SECRET, scope="a", max_tokens=80)
    assert private.stats("fake").saved == "private"
    with Store(tmp_path / "other", ram_bytes=RAM_BYTES, disk_bytes=1 << 24) as other:
        assert digest(Machine(other).run(SECRET, max_tokens=80)) == digest(private)


@pytest.mark.parametrize("in_company", [False, True], ids=["solo", "company"])
def test_an_eviction_and_a_shutdown_of_private_state_write_nothing(machine: Machine, in_company: bool) -> None:
    machine.run(SECRET, scope="a", in_company=in_company)
    machine.run("And then?", scope="b", in_company=in_company)
    running = machine.start(SECRET, scope="a", in_company=in_company)
    for _ in range(10):
        machine.engine.decode([running])
        machine.engine.sample(running)
    machine.engine.save_copy(running)
    machine.engine.evict_finished()
    machine.engine.finish(running, SaveReason.SHUTDOWN)
    machine.engine.evict_finished()
    assert machine.engine.live_sequences == 0


def test_a_private_state_that_is_refused_is_written_down_nowhere(machine: Machine) -> None:
    cold = machine.run(SECRET, scope="a")
    machine.run("Something else.", scope="b")
    machine.backend.fail_next_restore = True
    again = machine.run(SECRET, scope="a")
    assert (again.hit, digest(again)) == ("cold", digest(cold))


def test_a_private_block_that_memory_lost_after_it_was_found_is_written_down_nowhere(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.run(SECRET, scope="a")
    machine.run("Something else.", scope="b")
    found = machine.store.chain

    def find_then_lose(*arguments: Any) -> tuple[BlockRef, ...]:
        refs = found(*arguments)
        machine.store.ram_bytes = 0
        return refs

    monkeypatch.setattr(machine.store, "chain", find_then_lose)
    assert machine.run(SECRET, scope="a").hit == "cold"


def test_nothing_of_a_private_request_is_found_by_another(store: Store) -> None:
    machine = Machine(store)
    machine.run(SECRET, scope="a")
    assert machine.run(SECRET, scope="b").hit == "cold"
    assert machine.run(SECRET).hit == "cold"


def test_a_private_request_finds_nothing_of_others(store: Store) -> None:
    machine = Machine(store)
    machine.run(SECRET)
    assert machine.run(SECRET, scope="a").hit == "cold"


@pytest.mark.parametrize("in_company", [False, True], ids=["solo", "company"])
def test_a_private_chat_reads_each_token_once(machine: Machine, in_company: bool) -> None:
    machine.store.ram_bytes = RAM_BYTES  # nothing else may carry state from one buffer to the other
    first = machine.run("Tell me.", answer="Once upon a time.", scope="a", in_company=in_company)
    said = [Message("user", ["Tell me."]), Message("assistant", ["Once upon a time."])]
    second = machine.run("And then?", history=history_of(first, said), scope="a")
    assert second.cached == len(first.tokens)


@pytest.mark.parametrize("in_company", [False, True], ids=["solo", "company"])
def test_a_scope_that_is_forgotten_leaves_neither_blocks_nor_live_state(machine: Machine, in_company: bool) -> None:
    machine.run(SECRET, scope="a", in_company=in_company)
    machine.engine.forget_scope("a")
    assert machine.store.ram_stats().rows == 0
    assert machine.engine.live_sequences == 0
    assert all(buffer.used_cells == 0 for buffer in machine.backend.buffers)
    assert machine.run(SECRET, scope="a").hit == "cold"


def test_other_scopes_are_left_alone(store: Store) -> None:
    store.ram_bytes = RAM_BYTES
    machine = Machine(store)
    machine.run(SECRET, scope="a")
    machine.engine.forget_scope("b")
    assert machine.run(SECRET, scope="a").hit == "exact"
