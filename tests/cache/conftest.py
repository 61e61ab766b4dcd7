from collections.abc import Iterator
from pathlib import Path

import pytest

from erllama_cache.disk.tier import DiskTier
from erllama_cache.store import Store

QUOTA = 1 << 20


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def disk(directory: Path) -> Iterator[DiskTier]:
    tier = DiskTier(directory, QUOTA)
    tier.open()
    yield tier
    tier.close()


@pytest.fixture
def store(directory: Path) -> Iterator[Store]:
    with Store(directory, ram_bytes=QUOTA, disk_bytes=QUOTA) as opened:
        yield opened
