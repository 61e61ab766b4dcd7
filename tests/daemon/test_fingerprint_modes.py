"""What a real worker caches a model's state under, in each of the fingerprint modes."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_models import TinyModel, write_tiny_model
from worker_process import WorkerProcess

from erllama_cache.choices import FingerprintMode
from erllama_cache.model.fingerprint import model_fingerprint
from erllama_daemon.frames import Configure, LoadFailed, encode, from_worker_decoder, read_body

GIVEN = "ab" * 32
MODES: tuple[FingerprintMode, ...] = ("safe", "gguf_chunked", "fast_unsafe")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that loads at once."""
    return write_tiny_model(TinyModel.DENSE, tmp_path_factory.mktemp("model") / "model.gguf")


def test_every_fingerprint_mode_names_the_model_in_its_own_way(model: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for mode in MODES:
        expected = model_fingerprint(model, tmp_path / "memo", mode, bytes.fromhex(GIVEN)).hex()
        with WorkerProcess(model, cache, fingerprint_mode=mode, fingerprint=GIVEN) as worker:
            assert worker.ready.fingerprint == expected
            assert worker.generate("Who are you?").stats.cache_hit_kind == "cold", "modes never share a block"
        with WorkerProcess(model, cache, fingerprint_mode=mode, fingerprint=GIVEN) as worker:
            assert worker.generate("Who are you?").stats.cache_hit_kind == "exact"


def test_a_broken_header_is_named_before_the_model_is_loaded(model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(model.read_bytes()[:1000])
    configure = Configure(
        model="broken", path=str(broken), cache=str(tmp_path), ram_bytes=0, fingerprint_mode="gguf_chunked"
    )
    command = [sys.executable, "-m", "erllama_daemon.worker"]
    done = subprocess.run(command, input=encode(configure), stdout=subprocess.PIPE, check=False)
    body = read_body(io.BytesIO(done.stdout))
    assert body is not None
    failed = from_worker_decoder.decode(body)
    assert isinstance(failed, LoadFailed)
    assert failed.failure.code == "model_unreadable"
    assert "its header is cut off" in failed.failure.message
