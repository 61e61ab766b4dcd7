"""A damaged block costs time, and never a bit of an answer."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from models import MODELS, ModelUnderTest, model_file
from worker_process import WorkerProcess

from erllama_cache.stats import read_stats
from erllama_cache.tending.survey import survey


@pytest.mark.parametrize("name", MODELS)
def test_after_damage_an_answer_equals_the_cold_one_and_the_block_is_set_aside(
    name: str, models_folder: Path, tmp_path: Path
) -> None:
    model, cache = ModelUnderTest(name, model_file(name, models_folder)), tmp_path / "cache"
    question = (model.document(300), " What did it hum?")
    with WorkerProcess(model.path, cache) as worker:
        cold = worker.generate(*question)
    prompt = [row for row in survey(cache).rows.values() if row.end <= cold.stats.prompt_tokens]
    middle = sorted(prompt, key=lambda row: row.start)[1].key.hex()
    path = cache / "blocks" / middle[:2] / f"{middle}.kv"
    data = bytearray(path.read_bytes())
    data[Random(name).randrange(len(data))] ^= 1
    path.write_bytes(data)

    with WorkerProcess(model.path, cache) as worker:
        again = worker.generate(*question)
    with WorkerProcess(model.path, cache) as worker:
        healed = worker.generate(*question)
    assert again.stats.logits_digest == healed.stats.logits_digest == cold.stats.logits_digest
    assert again.stats.text == cold.stats.text
    assert 0 < again.stats.cached_tokens < healed.stats.cached_tokens == healed.stats.prompt_tokens
    assert read_stats(cache, 0).counters.quarantined == 1
    assert len(list((cache / "quarantine").iterdir())) == 1
