"""The disk tier as a machine: whatever order things happen in, what it promises holds."""

from __future__ import annotations

import shutil
import tempfile
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import pytest
from cache.inspection import by_key, check
from cache.samples import LOGITS, make_block
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from erllama_cache.block import Block
from erllama_cache.disk.eviction import FRESH_S
from erllama_cache.disk.pins import Pins
from erllama_cache.disk.row import Row
from erllama_cache.disk.tier import DiskTier
from erllama_cache.errors import CacheFull, ParentGone

QUOTA = 8000
HOUR_S = 3600.0
PAYLOAD_BYTES = (0, 100, 700, 1000, 2000, 3000)
CHOICE = st.integers(0, 1 << 16)


class DiskMachine(RuleBasedStateMachine):
    """Publishes, touches, pins and evicts blocks of random sizes, opens again, and lets foreign files come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp()) / "cache"
        self.now = 1e9
        self.known: dict[bytes, tuple[Block, Block]] = {}
        self.patch = pytest.MonkeyPatch()
        for module in ("tier", "room"):
            self.patch.setattr(f"erllama_cache.disk.{module}.time", SimpleNamespace(time=lambda: self.now))
        for sync in ("sync_data", "sync_folder"):  # nothing crashes here, and a busy disk takes its time
            self.patch.setattr(f"erllama_cache.disk.atomic.{sync}", lambda _what: None)

    @initialize()
    def open(self) -> None:
        self.disk = DiskTier(self.directory, QUOTA)
        self.disk.open()

    def teardown(self) -> None:
        self.disk.close()
        self.patch.undo()
        shutil.rmtree(self.directory.parent)

    @rule(parent=CHOICE, token=st.integers(0, 5), logits=st.booleans(), used=CHOICE)
    def publish(self, parent: int, token: int, logits: bool, used: int) -> None:
        after = self.one(parent)
        bare, full = (
            make_block([token], after, payload_bytes=PAYLOAD_BYTES[token], logits=some) for some in (b"", LOGITS)
        )
        block = full if logits else bare
        in_use = {other.key for other in [self.one(used)] if other}
        before = self.rows()
        self.now += 1.0
        try:
            self.disk.publish(block, in_use)
        except (CacheFull, ParentGone) as error:
            assert isinstance(error, CacheFull) or (after and after.key not in before)
            assert self.rows() == before
            return
        self.known[block.key] = (bare, full)
        after_it = self.rows()
        assert after_it[block.key].has_logits >= logits
        assert self.taken() <= QUOTA or after_it.keys() == before.keys()
        self.check_eviction(before, after_it, {block.key, block.parent, *in_use})

    def check_eviction(self, before: dict[bytes, Row], after: dict[bytes, Row], spared: set[bytes]) -> None:
        gone = before.keys() - after.keys()
        assert not gone & spared
        assert not any(before[key].is_pinned for key in gone)
        extended = {row.parent for row in before.values()}
        if any(self.is_fresh(before[key]) for key in gone):
            stale = [key for key, row in after.items() if not (row.is_pinned or self.is_fresh(row))]
            assert not set(stale) - spared - extended

    @rule(which=CHOICE)
    def touch(self, which: int) -> None:
        if block := self.one(which):
            self.disk.index.touch([block.key], self.now)

    @rule(which=CHOICE)
    def pin(self, which: int) -> None:
        if (block := self.one(which)) and block.key in self.rows():
            Pins(self.directory).add([block.key])
            self.disk.index.pin([block.key], pinned=True)

    @rule(which=CHOICE)
    def unpin(self, which: int) -> None:
        if block := self.one(which):
            Pins(self.directory).remove([block.key])
            self.disk.index.pin([block.key], pinned=False)

    @rule(seconds=st.sampled_from([1.0, FRESH_S, HOUR_S, -HOUR_S]))
    def time_goes_on_or_back(self, seconds: float) -> None:
        self.now += seconds

    @rule(size=st.integers(0, 4000))
    def a_foreign_file_comes_or_changes(self, size: int) -> None:
        (self.directory / "holiday.jpg").write_bytes(b"x" * size)

    @rule(loses_index=st.booleans())
    def open_again(self, loses_index: bool) -> None:
        pinned = {key for key, row in self.rows().items() if row.is_pinned}
        self.disk.close()
        if loses_index:
            self.disk.index.path.unlink()
        self.open()
        rows = self.rows()
        assert pinned <= rows.keys()
        extended = {row.parent for row in rows.values()}
        assert self.taken() <= QUOTA or all(row.is_pinned or key in extended for key, row in rows.items())

    @invariant()
    def all_agrees(self) -> None:
        assert check(self.disk, by_key(chain.from_iterable(self.known.values()))) <= self.known.keys()

    def one(self, which: int) -> Block | None:
        """One of the blocks that were ever stored, or none."""
        choices = [None, *(bare for bare, _full in self.known.values())]
        return choices[which % len(choices)]

    def rows(self) -> dict[bytes, Row]:
        return {row.key: row for row in self.disk.index.rows()}

    def taken(self) -> int:
        return self.disk.totals().file_bytes + self.disk.files.foreign_bytes()

    def is_fresh(self, row: Row) -> bool:
        return abs(self.now - row.used) < FRESH_S


TestDiskMachine = DiskMachine.TestCase
TestDiskMachine.settings = settings(max_examples=20, stateful_step_count=30)
