import hashlib
import os
import stat
from pathlib import Path

import pytest

from erllama_cache.fingerprint import safe_fingerprint


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"weights")
    return path


def test_it_is_the_sha256_of_the_file(model: Path, tmp_path: Path) -> None:
    assert safe_fingerprint(model, tmp_path / "memo") == hashlib.sha256(b"weights").digest()


def test_an_unchanged_file_is_read_once(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memo = tmp_path / "deep" / "memo.sqlite3"
    first = safe_fingerprint(model, memo)
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("the file was read again"))
    assert safe_fingerprint(model, memo) == first
    assert stat.S_IMODE(memo.stat().st_mode) == 0o600


def test_a_changed_file_is_read_again(model: Path, tmp_path: Path) -> None:
    memo = tmp_path / "memo"
    safe_fingerprint(model, memo)
    model.write_bytes(b"WEIGHTS")
    os.utime(model, ns=(0, 12345))
    assert safe_fingerprint(model, memo) == hashlib.sha256(b"WEIGHTS").digest()


def test_an_unusable_memo_only_costs_time(model: Path, tmp_path: Path) -> None:
    expected = hashlib.sha256(b"weights").digest()
    assert safe_fingerprint(model, model / "below" / "a" / "file") == expected
    assert safe_fingerprint(model, tmp_path) == expected


def test_a_memo_full_of_noise_is_replaced(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memo = tmp_path / "memo"
    memo.write_bytes(b"noise" * 1000)
    expected = safe_fingerprint(model, memo)
    assert safe_fingerprint(model, memo) == expected
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("the file was read again"))
    assert safe_fingerprint(model, memo) == expected


def test_a_missing_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        safe_fingerprint(tmp_path / "none", tmp_path / "memo")
