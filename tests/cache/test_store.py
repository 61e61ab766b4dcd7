import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from cache.samples import LOGITS, OTHER_ROOT, ROOT, make_block, make_chain

from erllama_cache.block import Block, SaveReason
from erllama_cache.keys import BlockKind, pack_tokens
from erllama_cache.ref import BlockRef, Wording
from erllama_cache.stats import read_stats
from erllama_cache.store import Store
from erllama_cache.writer import SaveOutcome

QUOTA = 1 << 20
TIMEOUT = 30.0


def save_all(store: Store, *blocks: Block) -> None:
    for block in blocks:
        store.save(block, wait=True)
    assert store.flush(TIMEOUT)


def keys(chain: tuple[BlockRef, ...] | list[Block] | None) -> list[bytes]:
    assert chain is not None
    return [link.key for link in chain]


def test_the_longest_chain_is_found_through_children_of_any_length_and_kind(store: Store) -> None:
    prompt = make_chain([1, 2, 3, 4], [5, 6])
    answer = make_block([7, 8, 9], prompt[-1], kind=BlockKind.GENERATED)
    wrong = make_block([7, 0], prompt[-1])
    save_all(store, *prompt, make_block([1, 2]), answer, wrong)
    assert keys(store.longest(ROOT, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])) == [*keys(prompt), answer.key]
    assert keys(store.longest(ROOT, [1, 2, 3, 4, 5, 6, 7])) == keys(prompt)
    assert keys(store.longest(ROOT, [1, 2, 3])) == [make_block([1, 2]).key]


@pytest.mark.parametrize("place", ["ram", "disk"])
def test_the_whole_wording_of_a_chain_is_known_by_its_last_key(directory: Path, place: str) -> None:
    prompt = make_chain([1, 2], [3], root=OTHER_ROOT)
    answer = make_block([4, 5], prompt[-1], root=OTHER_ROOT, kind=BlockKind.GENERATED)
    with Store(directory, ram_bytes=0 if place == "disk" else QUOTA, disk_bytes=QUOTA) as store:
        if place == "disk":
            save_all(store, *prompt, answer)
        else:
            for block in (*prompt, answer):
                store.save(block, to_disk=False)
        assert store.wording(answer.key) == Wording(OTHER_ROOT, pack_tokens([1, 2, 3, 4, 5]))
        assert store.wording(prompt[0].key) == Wording(OTHER_ROOT, pack_tokens([1, 2]))
        assert store.wording(OTHER_ROOT) is None


def test_a_chain_without_all_its_blocks_has_no_wording(store: Store) -> None:
    chain = make_chain([1, 2], [3], [4])
    save_all(store, *chain)
    store.forget([chain[1].key])
    assert store.wording(chain[2].key) is not None, "it is on disk"
    store.quarantine(chain[1].key)
    assert store.wording(chain[2].key) is None


def test_a_damaged_block_gives_no_wording(directory: Path) -> None:
    chain = make_chain([1, 2], [3])
    with Store(directory, ram_bytes=0, disk_bytes=QUOTA) as store:
        save_all(store, *chain)
        path = store._disk.files.path(chain[0].key)
        whole = path.read_bytes()
        for place in range(len(whole) - len(chain[0].payload)):  # the state is not read for it
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            assert store.wording(chain[1].key) in (None, Wording(ROOT, pack_tokens([1, 2, 3])))
        path.write_bytes(whole[:-1])
        assert store.wording(chain[1].key) is None


def test_a_chain_ends_where_a_block_of_it_is_missing(store: Store) -> None:
    chain = make_chain([1, 2], [3, 4], [5], [6])
    save_all(store, *chain)
    store.quarantine(chain[1].key)
    assert keys(store.longest(ROOT, [1, 2, 3, 4, 5, 6])) == [chain[0].key]
    assert keys(store.chain(ROOT, [1, 2, 3, 4, 5, 6], [2, 4, 5, 6])) == [chain[0].key]
    assert store.resume(ROOT, chain[3].key, [1, 2, 3, 4, 5, 6]) is None


def test_nothing_is_found_for_other_tokens_or_another_root(store: Store) -> None:
    save_all(store, make_block([1, 2, 3, 4]))
    assert store.longest(ROOT, [1, 2, 3, 5]) == ()
    assert store.longest(OTHER_ROOT, [1, 2, 3, 4]) == ()
    assert store.longest(ROOT, []) == ()


def test_of_chains_that_cover_as_much_the_one_with_logits_is_taken(store: Store) -> None:
    with_logits = make_block([1, 2, 3], kind=BlockKind.GENERATED, logits=LOGITS)
    save_all(store, make_block([1, 2, 3]), with_logits)
    assert keys(store.longest(ROOT, [1, 2, 3])) == [with_logits.key]


def test_a_strict_chain_takes_only_prefill_blocks_cut_at_the_same_places(store: Store) -> None:
    prompt = make_chain([1, 2], [3, 4], [5, 6])
    save_all(store, *prompt, make_block([7, 8], prompt[-1], kind=BlockKind.GENERATED))
    tokens = [1, 2, 3, 4, 5, 6, 7, 8]
    assert keys(store.chain(ROOT, tokens, [2, 4, 6, 8])) == keys(prompt)
    assert keys(store.chain(ROOT, tokens, [2, 5, 8])) == keys(prompt[:1])
    assert store.chain(ROOT, tokens, [4, 8]) == ()
    assert store.chain(ROOT, tokens, [20]) == ()


def test_a_finish_key_alone_resumes_its_chain(store: Store) -> None:
    chain = make_chain([1, 2], [3, 4], [5])
    save_all(store, *chain)
    assert keys(store.resume(ROOT, chain[-1].key, [1, 2, 3, 4, 5, 6])) == keys(chain)
    assert keys(store.resume(ROOT, chain[-1].key, [1, 2, 3, 4, 5])) == keys(chain)
    assert store.resume(ROOT, ROOT, [1]) == ()


def test_a_chain_is_not_resumed_for_other_tokens_another_root_or_with_a_gap(store: Store) -> None:
    chain = make_chain([1, 2], [3, 4], [5])
    save_all(store, *chain)
    last = chain[-1].key
    assert store.resume(ROOT, last, [1, 2, 3, 0, 5, 6]) is None
    assert store.resume(ROOT, last, [1, 2, 3, 4]) is None
    assert store.resume(OTHER_ROOT, last, [1, 2, 3, 4, 5]) is None
    assert store.resume(ROOT, bytes(32), [1]) is None
    store.quarantine(chain[1].key)
    assert store.resume(ROOT, last, [1, 2, 3, 4, 5]) is None


def test_threads_and_stores_that_save_the_same_block_leave_one_row_and_one_file(directory: Path) -> None:
    blocks = [make_block([1], logits=logits) for logits in (b"", LOGITS)] * 4
    start = threading.Barrier(len(blocks))

    def save(store: Store, block: Block) -> SaveOutcome:
        start.wait(TIMEOUT)
        return store.save(block).result(TIMEOUT)

    with (
        Store(directory, ram_bytes=0, disk_bytes=QUOTA) as one,
        Store(directory, ram_bytes=0, disk_bytes=QUOTA) as other,
        ThreadPoolExecutor(len(blocks)) as pool,
    ):
        outcomes = {*pool.map(save, [one, one, other, other] * 2, blocks)}
        assert SaveOutcome.DROPPED not in outcomes
        assert one.stats().tiers.disk.rows == len([*directory.rglob("*.kv")]) == 1
        assert one.load(blocks[1].key) == other.load(blocks[1].key) == blocks[1]


def test_a_new_process_goes_on_where_the_last_one_stopped(directory: Path) -> None:
    chain = make_chain([1, 2], [3, 4])
    with Store(directory, ram_bytes=QUOTA, disk_bytes=QUOTA) as store:
        for block in chain:
            store.save(block)
    with Store(directory, ram_bytes=QUOTA, disk_bytes=QUOTA) as store:
        found = store.longest(ROOT, [1, 2, 3, 4])
        assert [ref.tier for ref in found] == ["disk", "disk"]
        assert [store.load(ref) for ref in found] == chain
        assert [ref.tier for ref in store.longest(ROOT, [1, 2, 3, 4])] == ["ram", "ram"]
        counters = store.stats().counters
        assert counters.bytes_read == counters.bytes_written == sum(block.file_bytes for block in chain)
        assert counters.load_total_ns > 0


def test_a_block_is_found_and_loaded_before_it_is_written(directory: Path) -> None:
    store = Store(directory, ram_bytes=0, disk_bytes=QUOTA)
    block = make_block([1, 2])
    future = store.save(block)
    assert keys(store.longest(ROOT, [1, 2])) == [block.key]
    assert store.load(block.key) is block
    with store:
        assert future.result(TIMEOUT) is SaveOutcome.SAVED
        assert store.load(block.key) == block


def test_a_copy_with_logits_on_disk_is_preferred_to_one_without_in_memory(store: Store) -> None:
    bare, full = make_block([1]), make_block([1], logits=LOGITS)
    save_all(store, full)
    store.ram_bytes = 0
    store.ram_bytes = QUOTA
    assert store.save(bare).result(TIMEOUT) is SaveOutcome.PRESENT
    (found,) = store.longest(ROOT, [1])
    assert (found.has_logits, found.tier) == (True, "disk")
    assert store.load(found) == full
    assert store.load(found.key) == full


def test_a_private_block_never_touches_the_disk(store: Store, directory: Path) -> None:
    block = make_block([1, 2])
    assert store.save(block, to_disk=False).result(0) is SaveOutcome.SAVED
    assert store.save(block, to_disk=False).result(0) is SaveOutcome.PRESENT
    assert store.flush(TIMEOUT)
    assert keys(store.longest(ROOT, [1, 2])) == [block.key]
    assert not list((directory / "blocks").rglob("*.kv"))
    assert (store.stats().tiers.disk.rows, store.stats().counters.saves_cold) == (0, 1)


def test_a_private_block_without_room_is_dropped_and_counted(directory: Path) -> None:
    with Store(directory, ram_bytes=10, disk_bytes=QUOTA) as store:
        assert store.save(make_block([1]), to_disk=False).result(0) is SaveOutcome.DROPPED
        assert store.stats().counters.saves_dropped == 1


@pytest.mark.parametrize("reason", SaveReason)
def test_each_reason_is_counted_when_saved_but_not_when_present(store: Store, reason: SaveReason) -> None:
    block = make_block([1], reason=reason)
    outcomes = [store.save(block).result(TIMEOUT) for _ in range(2)]
    assert outcomes == [SaveOutcome.SAVED, SaveOutcome.PRESENT]
    assert getattr(store.stats().counters, f"saves_{reason}") == 1


def test_a_full_disk_is_counted_and_the_store_goes_on_from_memory(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    block = make_block([1, 2])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fail)
        assert store.save(block).result(TIMEOUT) is SaveOutcome.DROPPED
    assert store.load(block.key) == block
    assert store.stats().counters.saves_dropped == 1
    assert store.save(block).result(TIMEOUT) is SaveOutcome.SAVED


def test_a_quarantined_block_is_gone_from_both_tiers_and_counted_once(store: Store) -> None:
    stored, private = make_block([1]), make_block([2])
    save_all(store, stored)
    store.save(private, to_disk=False)
    for block in (stored, private, stored):
        store.quarantine(block.key)
    assert store.load(stored.key) is None
    assert store.longest(ROOT, [2]) == ()
    assert store.stats().counters.quarantined == 2


def test_a_damaged_file_is_a_miss_and_is_written_again(directory: Path) -> None:
    block = make_block([1])
    with Store(directory, ram_bytes=0, disk_bytes=QUOTA) as store:
        save_all(store, block)
        (path,) = directory.rglob("*.kv")
        path.write_bytes(path.read_bytes()[:-1] + b"!")
        assert store.load(block.key) is None
        assert store.longest(ROOT, [1]) == ()
        assert store.save(block).result(TIMEOUT) is SaveOutcome.SAVED
        assert store.load(block.key) == block
        assert store.stats().counters.quarantined == 1


def test_a_row_that_is_wrong_about_its_place_leads_nowhere_and_is_mended_by_the_next_save(directory: Path) -> None:
    chain = make_chain([7, 7], [7, 7], [7, 7])
    tokens = [7] * 12
    with Store(directory, ram_bytes=0, disk_bytes=QUOTA) as store:
        save_all(store, *chain)
        row = store._disk.index.get(chain[1].key)
        assert row is not None
        for wrong in (replace(row, start=4), replace(row, n_tokens=6), replace(row, parent=chain[2].key)):
            store._disk.index.insert([wrong], may_be_orphans=True)
            assert keys(store.longest(ROOT, tokens)) == keys(chain[:1])
            assert keys(store.chain(ROOT, tokens, [2, 4, 6])) == keys(chain[:1])
            assert store.resume(ROOT, chain[2].key, tokens) is None
            assert store.save(chain[1]).result(TIMEOUT) is SaveOutcome.SAVED
            assert keys(store.longest(ROOT, tokens)) == keys(chain)


def test_a_touched_block_outlives_one_that_is_not(directory: Path) -> None:
    old, new, newest = (make_block([number]) for number in range(3))
    with Store(directory, ram_bytes=QUOTA, disk_bytes=2 * old.file_bytes) as store:
        save_all(store, old, new)
        store.touch([old.key])
        save_all(store, newest)
        store.ram_bytes = 0
        assert [store.load(block.key) is not None for block in (old, new, newest)] == [True, False, True]


def test_counters_add_up_over_restarts(directory: Path) -> None:
    for _ in range(2):
        with Store(directory, ram_bytes=QUOTA, disk_bytes=QUOTA) as store:
            store.tally.add("misses")
            assert store.flush(TIMEOUT)
            store.tally.add("misses")
    assert read_stats(directory, QUOTA).counters.misses == 4
    with pytest.raises(ValueError, match="no counter"):
        store.tally.add("misses_by_far")
