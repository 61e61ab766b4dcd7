"""`--private`, `--no-cache` and `--require-cached` on the real model, and what is on the disk afterwards."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from cli.terminal import Terminal
from conftest import Erllama
from models import REAL, ModelUnderTest

from erllama_cache.keys import pack_tokens
from erllama_daemon.errors import EXIT_FAILED, EXIT_NOT_CACHED

DOCUMENT = ModelUnderTest(REAL, Path()).document(300)
MARKER = "Zanzibarian wombats"
SECRET = f"My secret, which I tell nobody, is that I keep 47 {MARKER} in the cellar. Is that wise?"


def answer(erllama: Erllama, *arguments: str, stdin: str = "") -> dict[str, Any]:
    done = erllama("run", "demo", "--json", "--logits-digest", "-n", "8", "-t", "0", *arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def files_with_marker(erllama: Erllama) -> list[Path]:
    """The files that hold it as text, or as tokens."""
    tokens = json.loads(erllama("tokenize", "demo", f" {MARKER}", "--json").stdout)["tokens"]
    assert len(tokens) >= 4
    marks = (MARKER.encode(), pack_tokens(tokens))
    files = [path for path in erllama.home.rglob("*") if path.is_file()]
    return [path for path in files if any(mark in path.read_bytes() for mark in marks)]


def block_files(erllama: Erllama) -> set[Path]:
    return set(erllama.home.rglob("*.kv"))


def in_memory(erllama: Erllama) -> tuple[int, int]:
    """How many blocks and how many live sequences the worker holds."""
    (model,) = json.loads(erllama("ps", "--json").stdout)["models"]
    return model["ram_rows"], model["live_sequences"]


def wait_until_it_generates(erllama: Erllama) -> None:
    while [model["status"] for model in json.loads(erllama("ps", "--json").stdout)["models"]] != ["generating"]:
        pass


def test_what_is_looked_for_is_found_when_nothing_is_private(erllama: Erllama) -> None:
    answer(erllama, SECRET)
    assert files_with_marker(erllama)


def test_a_private_answer_is_a_cold_one_and_leaves_nothing(erllama: Erllama) -> None:
    private = answer(erllama, SECRET, "--private")
    assert (private["saved"], private["cache_hit_kind"]) == ("private", "cold")
    assert in_memory(erllama) == (0, 0)
    assert answer(erllama, SECRET, "--private")["cache_hit_kind"] == "cold"
    assert block_files(erllama) == set()
    assert files_with_marker(erllama) == []
    public = answer(erllama, SECRET)
    assert (public["cache_hit_kind"], public["logits_digest"]) == ("cold", private["logits_digest"])


def test_a_private_chat_is_gone_when_its_user_leaves(erllama: Erllama, terminals: list[Terminal]) -> None:
    terminals.append(terminal := Terminal("chat", "demo", "--private", "-n", "8", "-t", "0", "--json"))
    terminal.await_text("private: nothing is kept")
    for question in (SECRET, "Why?"):
        terminal.await_text(">>> ")
        terminal.type(f"{question}\n")
        terminal.await_text('"saved":"private"')
    blocks, sequences = in_memory(erllama)
    assert blocks >= 4
    assert sequences == 1
    terminal.await_text(">>> ")
    terminal.type("\x04")
    assert terminal.rest()[0] == 0
    assert in_memory(erllama) == (0, 0)
    assert files_with_marker(erllama) == []
    resumed = erllama("chat", "--continue", stdin="And now?")
    assert (resumed.returncode, "no conversation" in resumed.stderr) == (EXIT_FAILED, True)


def test_a_private_chat_that_is_killed_is_gone_with_the_daemon(erllama: Erllama, terminals: list[Terminal]) -> None:
    terminals.append(terminal := Terminal("chat", "demo", "--private", "-n", "4000", "-t", "0"))
    terminal.await_text(">>> ")
    terminal.type(f"{SECRET} Tell me a very long story about it.\n")
    wait_until_it_generates(erllama)
    terminal.kill(signal.SIGKILL)
    assert erllama("daemon", "stop").returncode == 0
    assert block_files(erllama) == set()
    assert files_with_marker(erllama) == []


def test_without_the_cache_nothing_is_taken_or_left(erllama: Erllama) -> None:
    first = answer(erllama, DOCUMENT, "--no-cache")
    assert (first["saved"], in_memory(erllama)[1]) == ("off", 0)
    assert block_files(erllama) == set()
    kept = answer(erllama, DOCUMENT)
    again = answer(erllama, DOCUMENT, "--no-cache")
    assert first["cache_hit_kind"] == kept["cache_hit_kind"] == again["cache_hit_kind"] == "cold"
    assert first["logits_digest"] == kept["logits_digest"] == again["logits_digest"]


def test_a_chat_without_the_cache_is_kept_as_a_conversation(erllama: Erllama) -> None:
    for arguments, question in ((("demo",), "My name is Ada."), (("--continue",), "Who am I?")):
        done = erllama("chat", *arguments, "--no-cache", "--json", "-n", "8", "-t", "0", stdin=question)
        assert done.returncode == 0, done.stderr
    turn = json.loads(done.stdout)
    assert (turn["cached_tokens"], turn["saved"]) == (0, "off")
    assert block_files(erllama) == set()


@pytest.mark.parametrize("demand", ["--require-cached", "--require-cached=100"])
def test_a_script_can_demand_that_a_document_is_in_the_cache(erllama: Erllama, demand: str) -> None:
    refused = erllama("run", "demo", demand, "Who hums?", stdin=DOCUMENT)
    assert (refused.returncode, refused.stdout) == (EXIT_NOT_CACHED, "")
    assert "The cache held 0 tokens of the prompt" in refused.stderr
    assert block_files(erllama) == set()
    answer(erllama, "What is on the other side?", stdin=DOCUMENT)
    warm = answer(erllama, demand, "Who hums?", stdin=DOCUMENT)
    assert warm["cached_tokens"] > 280
    erllama.kill_everything()
    assert answer(erllama, demand, "Why do they hum?", stdin=DOCUMENT)["cached_tokens"] > 280


def test_a_chat_can_demand_its_earlier_turns(erllama: Erllama) -> None:
    def turn(question: str, *arguments: str) -> dict[str, Any]:
        done = erllama("chat", *arguments, "--json", "-n", "8", "-t", "0", stdin=question)
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    first = turn("My name is Ada.", "demo")
    second = turn("Who am I?", "--continue", "--require-cached")
    assert second["cached_tokens"] == first["prompt_tokens"] + first["completion_tokens"]
    erllama.kill_everything()
    for file in block_files(erllama):
        file.unlink()
    assert turn("And now?", "--continue", "--require-cached")["error"]["code"] == "not_cached"
