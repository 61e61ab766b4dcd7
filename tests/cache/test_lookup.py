"""Lookups against a plain model: every chain that could be there, tried one by one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cache.samples import LOGITS, ROOT, make_block
from hypothesis import given
from hypothesis import strategies as st

from erllama_cache.block import Block
from erllama_cache.cuts import cuts
from erllama_cache.disk.files import Head
from erllama_cache.disk.row import Row
from erllama_cache.keys import BlockKind, block_key, pack_tokens, unpack_tokens
from erllama_cache.ref import BlockRef, Child
from erllama_cache.store import Store
from erllama_cache.writer import _Job

QUOTA = 1 << 20
PLACES = ("ram", "queue", "disk")
# Few tokens and short spans, so that what was drawn apart often agrees.
SPANS = st.lists(st.integers(0, 1), min_size=1, max_size=3)
PROMPTS = st.lists(st.integers(0, 1), max_size=10)


@st.composite
def trees(draw: st.DrawFn) -> list[tuple[str, Block]]:
    """Blocks that extend each other, each with the place where it is held."""
    blocks: list[tuple[str, Block]] = []
    for _ in range(draw(st.integers(0, 10))):
        after = draw(st.sampled_from([None, *(block for _, block in blocks)]))
        kind, logits = draw(st.sampled_from(BlockKind)), draw(st.sampled_from([b"", LOGITS]))
        block = make_block(draw(SPANS), after, kind=kind, logits=logits, payload_bytes=1)
        if block.key not in {other.key for _, other in blocks}:
            blocks.append((draw(st.sampled_from(PLACES)), block))
    return blocks


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """An empty store whose writer never starts, so that its queue stays as it is."""
    store = Store(tmp_path_factory.mktemp("lookup") / "cache", ram_bytes=QUOTA, disk_bytes=QUOTA)
    store._disk.open()
    yield store
    store.close(0)


@contextmanager
def holding(shelf: Store, blocks: list[tuple[str, Block]]) -> Iterator[Store]:
    """The store with each block where it is to be, orphans included; a lookup on disk needs the row alone."""
    on_disk = [block for place, block in blocks if place == "disk"]
    rows = [Row.of(block, used=block.created, label="") for block in on_disk]
    shelf._disk.index.insert(rows, may_be_orphans=True)
    for place, block in blocks:
        if place == "ram":
            shelf.save(block, to_disk=False)
        elif place == "queue":
            shelf._writer.submit(block)
    yield shelf
    shelf._disk.index.delete(block.key for block in on_disk)
    shelf.forget([block.key for _, block in blocks])


def chains(blocks: list[Block]) -> list[list[Block]]:
    """Every chain that begins at the root."""
    found: list[list[Block]] = [[]]
    for block in sorted(blocks, key=lambda block: block.start):
        found += [[*chain, block] for chain in found if block.parent == (chain[-1].key if chain else ROOT)]
    return found


def tokens_of(chain: list[Block]) -> list[int]:
    return unpack_tokens(b"".join(block.tokens for block in chain))


def keys(chain: tuple[BlockRef, ...]) -> list[bytes]:
    return [ref.key for ref in chain]


def test_generated_children_are_found_wherever_they_are_and_others_are_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = make_block([0])
    generated = [make_block([number], parent, kind=BlockKind.GENERATED) for number in range(3)]
    twice = make_block([3], parent, kind=BlockKind.TOGETHER)
    read = [make_block([number], parent) for number in range(100)]
    looked_at = []
    with Store(tmp_path / "cache", ram_bytes=QUOTA, disk_bytes=QUOTA) as store:
        for block in (parent, *read, generated[0], twice):
            store.save(block, wait=True)
        assert store.flush()
        store.forget(block.key for block in (parent, *read, generated[0]))
        store.save(generated[1], to_disk=False)
        head = store._disk.files.head

        def watched_head(key: bytes) -> Head:
            looked_at.append(key)
            return head(key)

        monkeypatch.setattr(store._disk.files, "head", watched_head)
        monkeypatch.setattr(store._writer, "_jobs", deque([_Job(generated[2])]))
        found = store.generated(parent.key)
        monkeypatch.undo()
    assert sorted(found) == sorted(Child(block.kind, block.tokens) for block in (*generated, twice))
    assert looked_at == [generated[0].key]


@given(blocks=trees(), prompts=st.lists(PROMPTS, min_size=1, max_size=5))
def test_the_longest_chain_that_holds_the_beginning_of_a_prompt_is_found(
    shelf: Store, blocks: list[tuple[str, Block]], prompts: list[list[int]]
) -> None:
    stored = chains([block for _, block in blocks])
    with holding(shelf, blocks) as store:
        for tokens in prompts:
            fitting = [chain for chain in stored if tokens_of(chain) == tokens[: len(tokens_of(chain))]]
            length = max(len(tokens_of(chain)) for chain in fitting)
            longest = {tuple(block.key for block in chain) for chain in fitting if len(tokens_of(chain)) == length}
            with_logits = {
                tuple(block.key for block in chain)
                for chain in fitting
                if chain and len(tokens_of(chain)) == length and chain[-1].has_logits
            }
            assert tuple(keys(store.longest(ROOT, tokens))) in (with_logits or longest)


@given(blocks=trees(), tokens=PROMPTS, points=st.sets(st.integers(1, 10), max_size=6))
def test_a_strict_chain_is_the_longest_of_prefilled_blocks_cut_there(
    shelf: Store, blocks: list[tuple[str, Block]], tokens: list[int], points: set[int]
) -> None:
    held = {block.key for _, block in blocks}
    ends = sorted(points)
    expected: list[bytes] = []
    parent, start = ROOT, 0
    for end in ends:
        key = block_key(parent, BlockKind.PREFILL, pack_tokens(tokens[start:end]))
        if end > len(tokens) or key not in held:
            break
        expected.append(key)
        parent, start = key, end
    with holding(shelf, blocks) as store:
        assert keys(store.chain(ROOT, tokens, ends)) == expected


@given(blocks=trees(), tokens=PROMPTS)
def test_a_chain_is_resumed_exactly_if_it_holds_the_beginning_of_the_prompt(
    shelf: Store, blocks: list[tuple[str, Block]], tokens: list[int]
) -> None:
    with holding(shelf, blocks) as store:
        for chain in chains([block for _, block in blocks])[1:]:
            held = tokens_of(chain)
            for prompt in (tokens, held, [*held, 1], held[:-1]):
                resumed = store.resume(ROOT, chain[-1].key, prompt)
                fits = held == prompt[: len(held)]
                assert (resumed is not None and keys(resumed)) == (fits and [block.key for block in chain])


@given(PROMPTS, PROMPTS, PROMPTS, st.lists(st.integers(0, 12), max_size=4), st.integers(1, 5), st.integers(0, 4))
def test_equal_prefixes_give_equal_cuts_and_equal_keys(
    shared: list[int], one: list[int], other: list[int], points: list[int], block_tokens: int, min_span: int
) -> None:
    def chain(tokens: list[int]) -> list[tuple[int, bytes]]:
        ends = cuts(len(tokens), points, block_tokens=block_tokens, min_span=min_span)
        found: list[tuple[int, bytes]] = []
        parent, start = ROOT, 0
        for end in ends:
            parent, start = block_key(parent, BlockKind.PREFILL, pack_tokens(tokens[start:end])), end
            found.append((end, parent))
        return [link for link in found if link[0] < len(shared)]

    points = [point for point in points if point < len(shared)]
    assert chain(shared + one) == chain(shared + other)
