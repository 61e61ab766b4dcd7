"""Metrics of a real daemon after real answers."""

from __future__ import annotations

import json
import socket
from typing import Any

from conftest import Erllama
from prometheus_client.parser import text_string_to_metric_families

from erllama_cli.exchange import Exchange
from erllama_daemon.directories import user_directories


def answer(erllama: Erllama, *options: str) -> dict[str, Any]:
    done = erllama("run", "demo", "Why do llamas hum?", "-n", "3", "-t", "0", "--json", *options)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def scraped() -> dict[tuple[str, ...], float]:
    """Every series, by its name and the values of its labels in the order of their names."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(user_directories().socket))
        with Exchange(connection, "GET", "/metrics", None) as response:
            assert response.header("content-type") == "text/plain; version=0.0.4; charset=utf-8"
            text = response.read().decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for metric in text_string_to_metric_families(text)
        for sample in metric.samples
    }


def test_a_prompt_that_is_asked_again_is_one_exact_hit_after_one_cold_one(erllama: Erllama) -> None:
    cold, exact = answer(erllama), answer(erllama)
    assert (cold["cache_tier"], exact["cache_tier"]) == (None, "ram")
    answer(erllama, "--no-cache")
    found, prompt = scraped(), cold["prompt_tokens"]
    hits = {key[1:]: value for key, value in found.items() if key[0] == "erllama_cache_hits_total"}
    assert hits == {("cold", "demo", "none"): 1, ("exact", "demo", "ram"): 1}
    assert found["erllama_prompt_tokens_total", "demo", "cache"] == prompt
    assert found["erllama_prompt_tokens_total", "demo", "computed"] == 2 * prompt
    assert found["erllama_generated_tokens_total", "demo"] == 9
    assert found["erllama_answers_total", "erllama", "demo", "length"] == 3
    assert found["erllama_time_to_first_token_seconds_count", "demo"] == 3
    assert found["erllama_restore_seconds_count", "demo"] == 1
    assert found["erllama_model_memory_bytes", "demo"] > 50e6
    assert found["erllama_connections",] == 1
    assert found["erllama_cache_bytes", "ram"] > 0
    shown = json.loads(erllama("top", "--json").stdout)
    assert shown["last_minute"] == {
        "answers": 3,
        "exact": 1,
        "partial": 0,
        "cold": 1,
        "reused_tokens": prompt,
        "read_tokens": 2 * prompt,
        "generated_tokens": 9,
    }
