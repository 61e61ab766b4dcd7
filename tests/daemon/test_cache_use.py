"""What a request takes from the cache, leaves in it and says of it: counters, labels, costs, holds and demands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_backend import END
from fake_engine import BLOCK_TOKENS, FINGERPRINT, Machine, digest, history_of
from tiny_adapters import write_tiny_adapter
from tiny_models import TinyModel

from erllama_cache.disk.origins import AdapterOrigin, Origins
from erllama_cache.keys import root_key
from erllama_cache.store import Store
from erllama_daemon.engine.label import LABEL_CHARACTERS
from erllama_daemon.errors import EXIT_NOT_CACHED, DecodeFailed, NotCached
from erllama_daemon.messages import AdapterChoice, Message

LONG_TEXT = "All happy families are alike; every unhappy family is unhappy in its own way. " * 2


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "cache", ram_bytes=1 << 20, disk_bytes=1 << 24) as opened:
        yield opened


@pytest.fixture
def machine(store: Store) -> Machine:
    return Machine(store)


def test_each_block_tells_its_text_and_what_it_cost(machine: Machine) -> None:
    generation = machine.run(LONG_TEXT, answer="They are.")
    blocks = [machine.store.load(link.key) for link in generation.chain]
    labels = [block.label for block in blocks if block]
    assert labels[0] == "[user]" + LONG_TEXT[: BLOCK_TOKENS - len("[user]")]
    assert labels[-1] == "They are.<end>"
    assert [block.cost_s for block in blocks if block] == [link.cost_s for link in generation.chain]
    assert all(link.cost_s > 0 for link in generation.chain)


def test_a_label_is_short_whatever_a_character_takes(machine: Machine) -> None:
    generation = machine.run("🦙" * 120, max_tokens=1)
    blocks = [machine.store.load(link.key) for link in generation.chain]
    assert all(0 < len(block.label) <= LABEL_CHARACTERS for block in blocks if block)
    assert END not in generation.tokens


def test_what_was_reused_and_what_was_read_is_counted(machine: Machine) -> None:
    cold = machine.run(LONG_TEXT, max_tokens=1)
    counters = machine.store.stats().counters
    assert (counters.tokens_prefilled, counters.tokens_reused, counters.saved_total_ns) == (cold.prompt_tokens, 0, 0)
    machine.run("Something else.", max_tokens=1)
    between = machine.store.stats().counters
    warm = machine.run(LONG_TEXT, max_tokens=1)
    counters = machine.store.stats().counters
    assert counters.tokens_reused == warm.cached == cold.prompt_tokens
    assert counters.tokens_prefilled == between.tokens_prefilled
    spent_s = sum(link.cost_s for link in cold.chain if link.end <= cold.prompt_tokens)
    assert counters.saved_total_ns == round(1e9 * spent_s)


def test_a_reused_block_keeps_its_cost_in_another_process(machine: Machine) -> None:
    cold = machine.run(LONG_TEXT, max_tokens=1)
    machine.store.flush()
    with Store(machine.store.directory, ram_bytes=0, disk_bytes=1 << 24) as other:
        warm = Machine(other).run(LONG_TEXT, max_tokens=1)
    assert [link.cost_s for link in warm.chain[: warm.reused_blocks]] == [link.cost_s for link in cold.chain[:-1]]


def test_it_is_written_down_what_a_root_was_made_from(machine: Machine, tmp_path: Path) -> None:
    adapter = tmp_path / "pirate.gguf"
    write_tiny_adapter(TinyModel.DENSE, adapter, seed=1)
    plain = machine.run(LONG_TEXT)
    adapted = machine.run(LONG_TEXT, adapters=[AdapterChoice(str(adapter), 0.5)])
    assert adapted.adapters is not None
    machine.store.flush()
    origins = Origins(machine.store.directory).all()
    assert set(origins) == {plain.root, adapted.root}
    assert {root_key(origin.record) for origin in origins.values()} == set(origins)
    assert (origins[plain.root].model, origins[plain.root].model_fingerprint) == ("fake", FINGERPRINT.hex())
    (handle,) = (each.handle for each in adapted.adapters.adapters)
    assert origins[adapted.root].adapters == [AdapterOrigin("pirate.gguf", handle, 0.5)]


def test_what_a_request_goes_on_from_is_held_until_it_ends_in_whatever_way(machine: Machine) -> None:
    held = machine.store._writer._held
    machine.run([LONG_TEXT, "\n\nWho?"])
    running = machine.start([LONG_TEXT, "\n\nWhat?"])
    assert set(held) == {link.key for link in running.chain[: running.reused_blocks]}
    machine.end(running)
    assert not held
    failing = machine.start([LONG_TEXT, "\n\nWhy?"])
    assert held
    machine.engine.abandon(failing)
    machine.engine.abandon(failing)
    assert not held
    with pytest.raises(NotCached):
        machine.run([LONG_TEXT, "\n\nWhere?"], require_cached=10_000)
    assert not held


def test_without_the_cache_everything_is_computed_and_nothing_is_left(machine: Machine) -> None:
    cold = machine.run(LONG_TEXT, max_tokens=80)
    before = machine.store.stats().counters
    generation = machine.run(LONG_TEXT, cache=False, max_tokens=80)
    after = machine.store.stats().counters
    assert (generation.hit, generation.stats("fake").saved) == ("cold", "off")
    assert machine.backend.decodes[0] == (0, BLOCK_TOKENS)
    assert digest(generation) == digest(cold)
    assert machine.engine.live_sequences == 0
    saves = [name for name in before.__struct_fields__ if name.startswith(("saves_", "hits_", "misses"))]
    assert [getattr(before, name) for name in saves] == [getattr(after, name) for name in saves]


def test_what_was_computed_without_the_cache_is_found_by_nobody(machine: Machine) -> None:
    running = machine.start(LONG_TEXT, cache=False, in_company=True)
    machine.engine.decode([running])
    machine.engine.sample(running)
    machine.engine.save_copy(running)
    other = machine.run(LONG_TEXT)
    assert other.hit == "cold"
    machine.end(running)
    assert machine.backend.shared == []
    assert machine.engine.live_sequences == 1


def test_a_chat_without_the_cache_reads_everything_again(machine: Machine) -> None:
    first = machine.run("Tell me.", answer="Once upon a time.")
    said = [Message("user", ["Tell me."]), Message("assistant", ["Once upon a time."])]
    second = machine.run("And then?", history=history_of(first, said), cache=False)
    assert (second.cached, second.note) == (0, None)
    assert second.tokens[: len(first.tokens)] == first.tokens


@pytest.mark.parametrize("demand", [1, 166, "prefix"])
def test_a_demand_is_refused_before_anything_is_read(machine: Machine, demand: int | str) -> None:
    with pytest.raises(NotCached, match="held 0 tokens") as refusal:
        machine.run(LONG_TEXT, require_cached=demand)
    assert machine.backend.decodes == []
    assert refusal.value.exit_code == EXIT_NOT_CACHED
    assert machine.store.stats().counters.tokens_reused == 0


def test_a_demand_is_met_by_a_warm_prompt(machine: Machine) -> None:
    cold = machine.run(LONG_TEXT, max_tokens=1)
    for demand in ("prefix", 1, cold.prompt_tokens):
        assert machine.run(LONG_TEXT, require_cached=demand, max_tokens=1).hit == "exact"
    with pytest.raises(
        NotCached, match=f"held {cold.prompt_tokens} tokens.*; {cold.prompt_tokens + 1} were"
    ) as refusal:
        machine.run(LONG_TEXT, require_cached=cold.prompt_tokens + 1)
    assert refusal.value.hint == f"The whole prompt has {cold.prompt_tokens} tokens: no more can be demanded."


def test_without_a_number_what_stands_before_the_question_is_demanded(machine: Machine) -> None:
    machine.run([LONG_TEXT, "\n\nWho?"], max_tokens=1)
    warm = machine.run([LONG_TEXT, "\n\nAnd what about the unhappy ones?"], require_cached="prefix")
    assert warm.hit == "partial"
    with pytest.raises(NotCached, match=f"; {warm.cached} were demanded"):
        machine.run(["Another text. " + LONG_TEXT[14:], "\n\nWho?"], require_cached="prefix")


def test_of_a_conversation_all_earlier_turns_are_demanded(machine: Machine, tmp_path: Path) -> None:
    first = machine.run("Tell me.", answer="Once upon a time.")
    said = [Message("user", ["Tell me."]), Message("assistant", ["Once upon a time."])]
    history = history_of(first, said)
    assert machine.run("And then?", history=history, require_cached="prefix").cached == len(first.tokens)
    with Store(tmp_path / "other", ram_bytes=1 << 20, disk_bytes=1 << 24) as empty:
        other = Machine(empty)
        with pytest.raises(NotCached, match=f"; {len(first.tokens)} were demanded"):
            other.run("And then?", history=history, require_cached="prefix")
        assert other.backend.decodes == []


def test_a_refusal_leaves_what_is_live_as_it_was(machine: Machine) -> None:
    cold = machine.run(LONG_TEXT, max_tokens=1)
    with pytest.raises(NotCached):
        machine.run(LONG_TEXT, require_cached=10_000)
    assert machine.engine.live_sequences == 1
    assert machine.run(LONG_TEXT, max_tokens=1).cached == cold.prompt_tokens


def test_a_prompt_that_fails_is_not_counted_as_read(machine: Machine) -> None:
    machine.backend.fail_next_decode = True
    with pytest.raises(DecodeFailed):
        machine.run(LONG_TEXT)
    assert machine.store.stats().counters.tokens_prefilled == 0


def test_an_answer_says_the_slowest_place_that_it_was_reused_from(machine: Machine) -> None:
    first = machine.run(LONG_TEXT, answer="They are.")
    said = [Message("user", [LONG_TEXT]), Message("assistant", ["They are."])]
    history = history_of(first, said)

    def tier(text: str, **options: Any) -> str | None:
        return machine.run(text, max_tokens=1, **options).stats("m").cache_tier

    assert first.stats("m").cache_tier is None
    assert [tier("And?", history=history), tier(LONG_TEXT), tier("Why?")] == ["live", "ram", None]
    machine.store.flush(10)
    machine.store.ram_bytes = 0
    assert tier(LONG_TEXT) == "disk"
