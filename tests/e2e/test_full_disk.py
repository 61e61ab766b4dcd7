"""A disk that takes no more blocks costs reuse, never an answer."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from models import REAL, ModelUnderTest, model_file
from worker_process import WorkerProcess


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond 1 MiB in the processes that start now: a block of 256 tokens does not fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_files")
def test_answers_go_on_from_ram_when_blocks_cannot_be_written(tmp_path: Path) -> None:
    model = ModelUnderTest(REAL, model_file(REAL, tmp_path))
    with WorkerProcess(model.path, tmp_path / "cache") as worker:
        cold = worker.generate(model.document(300))
        warm = worker.generate(model.document(300))
    assert cold.stats.saved == "dropped"
    assert warm.stats.cache_hit_kind == "exact"
    assert warm.stats.logits_digest == cold.stats.logits_digest
    assert list((tmp_path / "cache").rglob("*.tmp")) == []
