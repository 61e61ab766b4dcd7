import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erllama_cache.cuts import cuts

LENGTH = st.integers(0, 400)
POINTS = st.lists(st.integers(-10, 500), max_size=12)
BLOCK = st.integers(1, 64)
SPAN = st.integers(0, 80)


@given(LENGTH, POINTS, BLOCK, SPAN, st.integers(0, 400))
def test_cuts_rise_stay_within_a_block_and_end_at_the_length(
    length: int, points: list[int], block: int, span: int, start: int
) -> None:
    start = min(start, length)
    ends = cuts(length, points, block_tokens=block, min_span=span, start=start)
    edges = [start, *ends]
    assert edges[-1] == length
    assert all(0 < after - before <= block for before, after in itertools.pairwise(edges))


@given(LENGTH, LENGTH, POINTS, POINTS, BLOCK, SPAN)
def test_equal_prefixes_are_cut_equally(
    shared: int, more: int, points: list[int], later: list[int], block: int, span: int
) -> None:
    length = shared + more
    others = [point for point in points if point < shared] + [point for point in later if point >= shared]
    one = cuts(length, points, block_tokens=block, min_span=span)
    other = cuts(length, others, block_tokens=block, min_span=span)
    assert [end for end in one if end < shared] == [end for end in other if end < shared]


@given(LENGTH, LENGTH, POINTS, BLOCK, SPAN)
def test_a_longer_prompt_repeats_every_cut_of_a_shorter_one_but_its_last(
    length: int, more: int, points: list[int], block: int, span: int
) -> None:
    shorter = cuts(length, points, block_tokens=block, min_span=span)
    longer = cuts(length + more, points, block_tokens=block, min_span=span)
    assert longer[: len(shorter) - 1] == shorter[:-1] if shorter else True


@given(LENGTH, POINTS, BLOCK, SPAN, st.integers(0, 20))
def test_going_on_from_a_cut_gives_the_cuts_that_remain(
    length: int, points: list[int], block: int, span: int, which: int
) -> None:
    ends = cuts(length, points, block_tokens=block, min_span=span)
    done = min(which, len(ends))
    start = ends[done - 1] if done else 0
    assert cuts(length, points, block_tokens=block, min_span=span, start=start) == ends[done:]


def test_a_short_span_joins_the_next_one() -> None:
    assert cuts(100, [10, 20, 30], min_span=16) == [20, 100]


def test_the_last_block_may_be_short_and_nothing_needs_no_cut() -> None:
    assert cuts(257, block_tokens=256) == [256, 257]
    assert cuts(7, start=7) == []


@pytest.mark.parametrize(("length", "block"), [(3, 256), (9, 0)])
def test_an_impossible_run_is_refused(length: int, block: int) -> None:
    with pytest.raises(ValueError, match="cannot cut"):
        cuts(length, start=5, block_tokens=block)
