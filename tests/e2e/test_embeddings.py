"""Embeddings, on a model made for them and on one that generates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from models import REAL, model_file
from tiny_embedder import write_tiny_embedder
from worker_process import WorkerProcess

from erllama_daemon import frames
from erllama_daemon.frames import Failed


@pytest.fixture(params=["embedder", REAL])
def worker(request: pytest.FixtureRequest, tmp_path: Path, models_folder: Path) -> Iterator[WorkerProcess]:
    is_real = request.param == REAL
    path = model_file(REAL, models_folder) if is_real else write_tiny_embedder(tmp_path / "embedder.gguf")
    with WorkerProcess(path, tmp_path / "cache") as opened:
        yield opened


def vectors(worker: WorkerProcess, *texts: str) -> list[npt.NDArray[np.float32]]:
    answer = worker.call(frames.Embed, list(texts))
    assert isinstance(answer, frames.Embedded), answer
    return [np.frombuffer(vector, dtype="<f4") for vector in answer.vectors]


def test_embeddings_have_length_one_and_do_not_depend_on_company(worker: WorkerProcess) -> None:
    alone = vectors(worker, "a llama hums")[0]
    together = vectors(worker, "tax law", "a llama hums", "x " * 40)
    assert np.linalg.norm(alone) == pytest.approx(1.0, abs=1e-5)
    assert np.array_equal(together[1], alone)
    assert not np.array_equal(together[0], alone)


@pytest.mark.parametrize(
    ("texts", "code"),
    [([], "embedding_empty"), (["fine", " "], "embedding_empty"), (["x " * 9000], "context_exceeded")],
    ids=["none", "blank", "long"],
)
def test_what_cannot_be_embedded_is_named(worker: WorkerProcess, texts: list[str], code: str) -> None:
    answer = worker.call(frames.Embed, texts)
    assert isinstance(answer, Failed)
    assert answer.failure.code == code
    assert vectors(worker, "fine")


def test_what_a_model_cannot_do_is_named(tmp_path: Path) -> None:
    path = write_tiny_embedder(tmp_path / "embedder.gguf")
    with WorkerProcess(path, tmp_path / "cache") as worker:
        number = worker.ask("Say hello.")
        while not isinstance(frame := worker.receive(), Failed):
            pass
        assert (frame.id, frame.failure.code) == (number, "not_supported")
        assert vectors(worker, "fine")
