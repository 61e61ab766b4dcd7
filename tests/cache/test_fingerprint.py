import hashlib
import os
import stat
from pathlib import Path

import pytest
from tiny_models import TinyModel, write_tiny_model

from erllama_cache.choices import FingerprintMode
from erllama_cache.model import fingerprint
from erllama_cache.model.fingerprint import (
    SAMPLE_BYTES,
    chunked_fingerprint,
    given_fingerprint,
    model_fingerprint,
    safe_fingerprint,
)
from erllama_cache.model.gguf_header import GgufMalformed, read_header

GIVEN = bytes(range(32))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def tiny_model(tmp_path: Path) -> Path:
    """A real GGUF file."""
    return write_tiny_model(TinyModel.DENSE, tmp_path / "tiny.gguf")


def largest_tensor(path: Path) -> tuple[int, int]:
    """Where it begins and ends in the file."""
    with path.open("rb") as file:
        return max(read_header(file).tensor_spans(), key=lambda span: span[1] - span[0])


def flip(path: Path, position: int) -> None:
    """Changes one byte of a file."""
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes((byte ^ 1,)))


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


def test_a_sample_sees_the_ends_and_the_middle_of_each_tensor(tiny_model: Path) -> None:
    before = chunked_fingerprint(tiny_model)
    with tiny_model.open("rb") as file:
        spans = read_header(file).tensor_spans()
    assert any(end - start > 4 * SAMPLE_BYTES for start, end in spans)
    for start, end in spans:
        for position in (start, start + SAMPLE_BYTES - 1, (start + end) // 2, end - SAMPLE_BYTES, end - 1):
            if start <= position < end:
                flip(tiny_model, position)
                assert chunked_fingerprint(tiny_model) != before
                flip(tiny_model, position)
    assert chunked_fingerprint(tiny_model) == before


def test_a_sample_does_not_see_what_lies_between(tiny_model: Path) -> None:
    before = chunked_fingerprint(tiny_model)
    start, end = largest_tensor(tiny_model)
    flip(tiny_model, (start + SAMPLE_BYTES + end - SAMPLE_BYTES) // 2 - SAMPLE_BYTES)
    assert chunked_fingerprint(tiny_model) == before


def test_small_tensors_are_read_whole(tiny_model: Path) -> None:
    before = chunked_fingerprint(tiny_model)
    with tiny_model.open("rb") as file:
        start, end = next((a, b) for a, b in read_header(file).tensor_spans() if b - a <= 3 * SAMPLE_BYTES)
    for position in range(start, end, 61):
        flip(tiny_model, position)
        assert chunked_fingerprint(tiny_model) != before
        flip(tiny_model, position)


def test_a_sample_sees_metadata_and_size(tiny_model: Path) -> None:
    before, data = chunked_fingerprint(tiny_model), tiny_model.read_bytes()
    flip(tiny_model, data.index(b"tiny dense"))
    assert chunked_fingerprint(tiny_model) != before
    tiny_model.write_bytes(data + b"\0")
    assert chunked_fingerprint(tiny_model) != before


def test_a_size_alone_makes_a_difference(tmp_path: Path) -> None:
    """Without tensors nothing behind the header is read."""
    empty = b"GGUF\3\0\0\0" + bytes(24)
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(empty)
    second.write_bytes(empty + b"\0")
    assert chunked_fingerprint(first) != chunked_fingerprint(second)


@pytest.mark.parametrize("mode", ["safe", "gguf_chunked", "fast_unsafe"])
def test_a_renamed_file_keeps_its_fingerprint(tiny_model: Path, tmp_path: Path, mode: FingerprintMode) -> None:
    before = model_fingerprint(tiny_model, tmp_path / "memo", mode, GIVEN)
    renamed = tiny_model.rename(tmp_path / "other.gguf")
    assert model_fingerprint(renamed, tmp_path / "memo", mode, GIVEN) == before
    assert len(before) == 32


def test_modes_never_meet(tiny_model: Path, tmp_path: Path) -> None:
    safe, chunked = safe_fingerprint(tiny_model, tmp_path / "memo"), chunked_fingerprint(tiny_model)
    given = {given_fingerprint(each) for each in (safe, chunked, GIVEN)}
    assert len({safe, chunked, *given}) == 5


def test_only_safe_reads_the_whole_file(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("the whole file was read"))
    chunked_fingerprint(tiny_model)
    assert given_fingerprint(GIVEN) == model_fingerprint(tmp_path / "none", tmp_path / "memo", "fast_unsafe", GIVEN)
    assert not (tmp_path / "memo").exists()


def test_a_long_header_is_hashed_to_its_end(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = chunked_fingerprint(tiny_model)
    monkeypatch.setattr(fingerprint, "_READ_BYTES", 1000)
    assert chunked_fingerprint(tiny_model) == before


def test_what_is_no_gguf_file_has_no_sample(model: Path) -> None:
    with pytest.raises(GgufMalformed, match="not a GGUF file"):
        chunked_fingerprint(model)


@pytest.mark.parametrize("given", [None, b"", bytes(31), bytes(33)])
def test_a_given_fingerprint_has_32_bytes(given: bytes | None) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        given_fingerprint(given)


@pytest.mark.parametrize("mode", ["safe", "gguf_chunked"])
def test_a_model_of_several_parts_is_told_apart_by_each(tmp_path: Path, mode: FingerprintMode) -> None:
    first, second = (tmp_path / f"tiny-0000{number}-of-00002.gguf" for number in (1, 2))
    for part in (first, second):
        write_tiny_model(TinyModel.DENSE, part)
    memo = tmp_path / "memo.sqlite3"
    before = model_fingerprint(first, memo, mode, None)
    assert before != model_fingerprint(second, memo, mode, None)
    flip(second, largest_tensor(second)[0])
    assert model_fingerprint(first, memo, mode, None) != before
    second.unlink()
    with pytest.raises(OSError, match="00002"):
        model_fingerprint(first, memo, mode, None)
