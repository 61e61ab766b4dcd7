"""The shelf of adapters, without a model: what is loaded, when it is freed, and what a set is called."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from tiny_adapters import write_strange_adapter, write_tiny_adapter
from tiny_models import TinyModel

from erllama_cache.keys import effective_fingerprint
from erllama_daemon.engine.adapters import AdapterShelf
from erllama_daemon.engine.backend import AdapterRejected
from erllama_daemon.errors import AdapterUnknown, AdapterUnreadable, RequestInvalid
from erllama_daemon.messages import AdapterChoice

MODEL = bytes(range(32))


class Loader:
    """Counts what is in memory."""

    def __init__(self) -> None:
        self.loads = 0
        self.live: dict[int, Path] = {}
        self.reason: str | None = None
        self.replace_with: Path | None = None

    def load_adapter(self, path: Path) -> int:
        if self.reason is not None:
            raise AdapterRejected(self.reason)
        self.loads += 1
        self.live[self.loads] = path
        if self.replace_with is not None:
            self.replace_with.replace(path)
        return self.loads

    def free_adapter(self, handle: int) -> None:
        del self.live[handle]


@pytest.fixture
def loader() -> Loader:
    return Loader()


@pytest.fixture
def shelf(loader: Loader, tmp_path: Path) -> AdapterShelf:
    return AdapterShelf(loader, "llama", MODEL, tmp_path / "memo.sqlite3")


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Three adapters, in the order of their SHA-256."""
    paths = [write_tiny_adapter(TinyModel.DENSE, tmp_path / f"{seed}.gguf", seed=seed) for seed in range(3)]
    return [str(path) for path in sorted(paths, key=sha256)]


def sha256(path: Path | str) -> bytes:
    return hashlib.sha256(Path(path).read_bytes()).digest()


def test_without_adapters_the_fingerprint_is_the_models_own(shelf: AdapterShelf, files: list[str]) -> None:
    assert shelf.attached.fingerprint == shelf.take([]).fingerprint == MODEL
    shelf.attach(files[0], 0.0)
    taken = shelf.take([])
    assert (shelf.attached.fingerprint, taken.fingerprint, taken.adapters, taken.handles) == (MODEL, MODEL, (), ())
    shelf.rescale(files[0], 1e-60)
    assert shelf.attached.fingerprint == MODEL, "llama.cpp's float32 makes it zero"


def test_the_same_file_is_loaded_once(shelf: AdapterShelf, loader: Loader, files: list[str], tmp_path: Path) -> None:
    copy = shutil.copy(files[0], tmp_path / "copy.gguf")
    shelf.attach(files[0], 1.0)
    shelf.attach(files[0], 0.5)
    shelf.attach(str(copy), 0.25)
    shelf.take([AdapterChoice(files[0], 2.0)])
    assert loader.loads == 1
    assert [(adapter.path, adapter.scale) for adapter in shelf.attached.adapters] == [(str(copy), 0.25)]


def test_a_set_is_sorted_and_named_by_content_and_scale(shelf: AdapterShelf, files: list[str]) -> None:
    shelf.attach(files[1], 0.5)
    shelf.attach(files[0], 1.0)
    taken = shelf.take([])
    assert [adapter.path for adapter in taken.adapters] == files[:2]
    assert taken.handles == ((2, 1.0), (1, 0.5))
    assert taken.fingerprint == shelf.attached.fingerprint
    assert taken.fingerprint == effective_fingerprint(MODEL, [(sha256(files[0]), 1.0), (sha256(files[1]), 0.5)])


def test_a_requests_own_adapters_prevail_and_leave_no_trace(
    shelf: AdapterShelf, loader: Loader, files: list[str]
) -> None:
    shelf.attach(files[0], 1.0)
    before = shelf.attached.fingerprint
    taken = shelf.take([AdapterChoice(files[0], 0.5), AdapterChoice(files[1], 2.0)])
    assert [adapter.scale for adapter in taken.adapters] == [0.5, 2.0]
    assert shelf.take([AdapterChoice(files[0], 0.0)]).fingerprint == MODEL
    assert (shelf.attached.fingerprint, len(shelf.attached.adapters)) == (before, 1)
    shelf.give_back(taken)
    assert list(loader.live.values()) == [Path(files[0])]


def test_an_adapter_lives_until_nobody_uses_it(shelf: AdapterShelf, loader: Loader, files: list[str]) -> None:
    shelf.attach(files[0], 1.0)
    first, second = shelf.take([]), shelf.take([])
    shelf.detach(files[0])
    assert shelf.attached.fingerprint == MODEL
    shelf.give_back(first)
    assert loader.live, "still in use by the second request"
    shelf.give_back(second)
    assert not loader.live


def test_a_change_never_touches_a_set_that_was_taken(shelf: AdapterShelf, files: list[str]) -> None:
    shelf.attach(files[0], 1.0)
    taken = shelf.take([])
    shelf.rescale(files[0], 0.5)
    assert taken.handles == ((1, 1.0),)
    assert taken.fingerprint != shelf.attached.fingerprint


def test_an_adapter_is_named_by_path_handle_or_its_beginning(shelf: AdapterShelf, files: list[str]) -> None:
    handle = sha256(files[0]).hex()
    for name in (files[0], handle, handle[:4], handle[:9].upper()):
        shelf.attach(files[0], 1.0)
        shelf.rescale(name, 0.5)
        assert shelf.attached.adapters[0].scale == 0.5
        shelf.detach(name)
        shelf.detach(name)
        assert not shelf.attached.adapters
    shelf.attach(files[0], 1.0)
    for name in (handle[:3], "", "zzzz"):
        shelf.detach(name)
        with pytest.raises(AdapterUnknown, match="attached to llama"):
            shelf.rescale(name, 0.5)
    assert shelf.attached.adapters


def test_a_beginning_of_several_handles_is_refused(
    shelf: AdapterShelf, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = {Path(path): bytes(31) + bytes([number]) for number, path in enumerate(files)}
    monkeypatch.setattr("erllama_daemon.engine.adapters.safe_fingerprint", lambda path, _memo: digests[path])
    shelf.attach(files[0], 1.0)
    shelf.attach(files[1], 1.0)
    with pytest.raises(RequestInvalid, match="begins with 0000"):
        shelf.detach("0000")
    assert len(shelf.attached.adapters) == 2


def test_three_adapters_have_a_fingerprint_of_this_loading_alone(
    shelf: AdapterShelf, files: list[str], tmp_path: Path
) -> None:
    choices = [AdapterChoice(path) for path in files]
    other = AdapterShelf(Loader(), "llama", MODEL, tmp_path / "memo.sqlite3")
    assert shelf.take(choices[:2]).fingerprint == other.take(choices[:2]).fingerprint
    taken = shelf.take(choices)
    assert taken.fingerprint == shelf.take(choices[::-1]).fingerprint
    assert taken.fingerprint != other.take(choices).fingerprint
    again = other.take(choices)
    other.give_back(again)
    assert again.fingerprint == other.take(choices).fingerprint, "it had not left memory in between"


def test_loaded_again_three_adapters_have_another_fingerprint(
    shelf: AdapterShelf, loader: Loader, files: list[str]
) -> None:
    choices = [AdapterChoice(path) for path in files]
    taken = shelf.take(choices)
    shelf.give_back(taken)
    assert not loader.live
    assert shelf.take(choices).fingerprint != taken.fingerprint


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), -float("inf"), 1e39])
def test_a_scale_that_is_no_number_is_refused(shelf: AdapterShelf, files: list[str], scale: float) -> None:
    with pytest.raises(RequestInvalid, match="scale"):
        shelf.attach(files[0], scale)
    shelf.attach(files[0], 1.0)
    with pytest.raises(RequestInvalid, match="scale"):
        shelf.rescale(files[0], scale)
    with pytest.raises(RequestInvalid, match="scale"):
        shelf.take([AdapterChoice(files[1]), AdapterChoice(files[0], scale)])


def test_a_request_that_fails_takes_nothing(shelf: AdapterShelf, loader: Loader, files: list[str]) -> None:
    with pytest.raises(AdapterUnreadable, match="there is no such file"):
        shelf.take([AdapterChoice(files[0]), AdapterChoice("/nowhere.gguf")])
    assert loader.loads == 1
    assert not loader.live


def test_a_file_replaced_while_it_is_loaded_is_refused(shelf: AdapterShelf, loader: Loader, files: list[str]) -> None:
    loader.replace_with = Path(files[1])
    with pytest.raises(AdapterUnreadable, match="changed while"):
        shelf.attach(files[0], 1.0)
    assert not loader.live
    assert not shelf.attached.adapters


def test_the_librarys_reason_is_told(shelf: AdapterShelf, loader: Loader, files: list[str]) -> None:
    loader.reason = "model arch and LoRA arch mismatch"
    with pytest.raises(AdapterUnreadable, match="arch mismatch"):
        shelf.attach(files[0], 1.0)


def test_a_file_cut_off_in_its_header_never_reaches_the_library(
    shelf: AdapterShelf, loader: Loader, files: list[str], tmp_path: Path
) -> None:
    whole, cut = Path(files[0]).read_bytes(), tmp_path / "cut.gguf"
    header = gguf.GGUFReader(files[0]).data_offset
    for length in range(0, header - 32, 13):
        cut.write_bytes(whole[:length])
        with pytest.raises(AdapterUnreadable):
            shelf.attach(str(cut), 1.0)
    assert loader.loads == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata": {"general.type": 7}},
        {"metadata": {"general.type": "model"}},
        {"metadata": {"adapter.type": 7}},
        {"metadata": {"adapter.type": None}},
        {"metadata": {"adapter.lora.alpha": "four"}},
        {"metadata": {"adapter.lora.alpha": 7}},
        {"metadata": {"adapter.lora.alpha": np.float32("nan")}},
        {"a": (2, 4, 64)},
        {"b": (2, 64, 4)},
        {"dtype": np.int8},
        {"dtype": np.int32},
        {"dtype": np.float64},
        {"a": None, "b": None},
        {"target": "token_embd.weight", "a": (261, 4), "b": (64, 5)},
    ],
    ids=str,
)
def test_what_would_end_the_process_is_refused(
    shelf: AdapterShelf, loader: Loader, tmp_path: Path, changes: dict[str, Any]
) -> None:
    with pytest.raises(AdapterUnreadable):
        shelf.attach(str(write_strange_adapter(tmp_path / "strange.gguf", **changes)), 1.0)
    assert loader.loads == 0


def test_what_is_usual_is_not_refused(shelf: AdapterShelf, tmp_path: Path) -> None:
    shelf.attach(str(write_strange_adapter(tmp_path / "usual.gguf")), 1.0)
    shelf.attach(
        str(write_strange_adapter(tmp_path / "small.gguf", dtype=np.float16, metadata={"adapter.lora.alpha": None})),
        1.0,
    )
    assert len(shelf.attached.adapters) == 2


@pytest.mark.parametrize("content", [b"", b"GGUF", b"hello, world", None])
def test_what_is_no_gguf_file_is_refused(shelf: AdapterShelf, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "thing"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(AdapterUnreadable, match="thing cannot be used"):
        shelf.attach(str(path), 1.0)


def test_equal_seeds_write_equal_adapters(tmp_path: Path) -> None:
    first, second, other = (
        write_tiny_adapter(TinyModel.HYBRID, tmp_path / f"{number}.gguf", seed=seed)
        for number, seed in enumerate((5, 5, 6))
    )
    assert first.read_bytes() == second.read_bytes() != other.read_bytes()
