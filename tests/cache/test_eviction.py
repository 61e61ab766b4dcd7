"""`choose` against a plain model that looks at everything again at each step."""

from __future__ import annotations

import hashlib
import math

from hypothesis import given
from hypothesis import strategies as st

from erllama_cache.disk.eviction import FRESH_S, Candidate, choose
from erllama_cache.disk.row import HEAT_HALF_LIFE_S

ROOT = b"root"
NOW = 1e9
DAY_S = 86_400.0


def key_of(number: int) -> bytes:
    return hashlib.sha256(number.to_bytes(8, "big")).digest()


def candidate(
    number: int,
    parent: Candidate | None = None,
    *,
    age: float = DAY_S,
    heat: float = 0.0,
    n_tokens: int = 256,
    file_bytes: int = 1000,
    is_pinned: bool = False,
) -> Candidate:
    return Candidate(
        key=key_of(number),
        parent=parent.key if parent else ROOT,
        root=ROOT,
        start=parent.start + parent.n_tokens if parent else 0,
        n_tokens=n_tokens,
        file_bytes=file_bytes,
        used=NOW - age,
        heat=heat,
        is_pinned=is_pinned,
    )


@st.composite
def forests(draw: st.DrawFn) -> list[Candidate]:
    """Some trees of blocks, of which a few blocks may be missing."""
    blocks: list[Candidate] = []
    for number in range(draw(st.integers(0, 14))):
        parent = draw(st.sampled_from([None, *blocks]))
        blocks.append(
            candidate(
                number,
                parent,
                age=draw(st.sampled_from([-1e8, 0.0, FRESH_S - 1, FRESH_S + 1, DAY_S, 30 * DAY_S])),
                heat=draw(st.sampled_from([0.0, 0.5, 1.0, 7.0])),
                n_tokens=draw(st.sampled_from([1, 16, 256])),
                file_bytes=draw(st.sampled_from([1, 100, 1000, 5000])),
                is_pinned=draw(st.integers(0, 9)) == 0,
            )
        )
    missing = draw(st.sets(st.integers(0, 14), max_size=2))
    return [block for number, block in enumerate(blocks) if number not in missing]


def is_whole(block: Candidate, held: dict[bytes, Candidate]) -> bool:
    while block.parent != block.root:
        if block.parent not in held:
            return False
        block = held[block.parent]
    return True


def least(held: dict[bytes, Candidate], spared: set[bytes], whole: set[bytes]) -> Candidate | None:
    """The next block to go, found by looking at all of them."""

    def order(block: Candidate) -> tuple[bool, bool, float, float, int, bytes]:
        age = NOW - block.used
        heat = block.heat * math.exp2(-max(0.0, age) / HEAT_HALF_LIFE_S)
        value = (heat + 1) * block.n_tokens / (block.file_bytes / (1 << 20))
        used = 0.0 if age <= -FRESH_S else block.used
        return block.key in whole, abs(age) < FRESH_S, value, used, -block.start, block.key

    extended = {block.parent for block in held.values()}
    free = [block for key, block in held.items() if key not in spared | extended and not block.is_pinned]
    return min(free, key=order, default=None)


def plainly_chosen(blocks: list[Candidate], needed: int, spared: set[bytes], extra: int) -> list[Candidate]:
    held = {block.key: block for block in blocks}
    whole = {key for key, block in held.items() if is_whole(block, held)}
    chosen: list[Candidate] = []
    while (block := least(held, spared, whole)) is not None:
        is_fresh = abs(NOW - block.used) < FRESH_S
        if needed <= 0 and (is_fresh or block.file_bytes > needed + extra):
            break
        chosen.append(held.pop(block.key))
        needed -= block.file_bytes
    return chosen


@given(forests(), st.integers(0, 12_000), st.sets(st.integers(0, 14), max_size=3), st.sampled_from([0, 150, 3000]))
def test_what_goes_is_what_a_plain_model_would_let_go(
    blocks: list[Candidate], needed: int, sparing: set[int], extra: int
) -> None:
    spared = {key_of(number) for number in sparing}
    assert choose(blocks, needed, spared, NOW, extra=extra) == plainly_chosen(blocks, needed, spared, extra)


@given(forests(), st.integers(0, 12_000), st.sets(st.integers(0, 14), max_size=3))
def test_no_block_goes_before_one_that_extends_it_and_none_that_is_pinned_or_in_use(
    blocks: list[Candidate], needed: int, sparing: set[int]
) -> None:
    spared = {key_of(number) for number in sparing}
    chosen = choose(blocks, needed, spared, NOW)
    held = {block.key for block in blocks}
    for block in chosen:
        held.remove(block.key)
        assert not any(other.parent == block.key for other in blocks if other.key in held)
    assert not any(block.is_pinned or block.key in spared for block in chosen)
    kept = sum(block.file_bytes for block in chosen[:-1])
    assert kept < needed or not chosen


def test_a_shared_beginning_outlives_one_off_tails() -> None:
    shared = candidate(0, heat=3.0)
    tails = [candidate(number, shared, age=number * DAY_S) for number in range(1, 6)]
    alone = candidate(9, heat=3.0, age=DAY_S / 2)
    chosen = choose([shared, *tails, alone], 5000, (), NOW)
    assert chosen == tails[::-1]


def test_a_block_just_written_is_spared_while_others_exist() -> None:
    fresh, used = candidate(1, age=0.0), candidate(2, heat=1e6)
    assert choose([fresh, used], 500, (), NOW) == [used]
    assert choose([fresh, used], 1500, (), NOW) == [used, fresh]


def test_after_the_clock_was_set_back_old_blocks_go_before_new_ones() -> None:
    from_the_future, new = candidate(1, age=-365 * DAY_S), candidate(2, age=2 * FRESH_S)
    assert choose([from_the_future, new], 500, (), NOW) == [from_the_future]


def test_what_cannot_be_reached_goes_first() -> None:
    lost = candidate(1)
    orphan, leaf = candidate(2, lost, heat=1e6, age=0.0), candidate(3)
    assert choose([leaf, orphan], 500, (), NOW) == [orphan]
