"""Files, pipes and batches on the real model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Erllama
from models import REAL, ModelUnderTest

from erllama_cli.failures import EXIT_PIPE_CLOSED

TEXT = ModelUnderTest(REAL, Path()).document(100)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Three texts, each longer than the shortest block."""
    texts = {"a": TEXT, "b": f"Firstly,\n{TEXT[:150]}", "c": f"However,\n{TEXT[:120]}\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return {name: str(tmp_path / name) for name in texts}


def run(erllama: Erllama, *arguments: str, stdin: str = "") -> dict[str, Any]:
    done = erllama("run", "demo", "--json", "-n", "1", "-t", "0", *arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_a_document_is_read_once_however_it_is_given_and_what_differs_after_it_alone_is_read_again(
    erllama: Erllama, files: dict[str, str]
) -> None:
    warmed = json.loads(erllama("cache", "warm", "demo", files["a"], "--json").stdout)["files"][0]["tokens"]
    assert warmed > 60
    explained = json.loads(erllama("cache", "explain", "demo", "-f", files["a"], "Who hums?", "--json").stdout)
    piped = run(erllama, "Why?", stdin=TEXT)
    given = run(erllama, "-f", files["a"], "Where?")
    assert [explained["reused_tokens"], piped["cached_tokens"], given["cached_tokens"]] == [warmed] * 3
    both = run(erllama, "-f", files["a"], "-f", files["b"], "Why?")
    other = run(erllama, "-f", files["a"], "-f", files["c"], "Why?")
    assert [both["cached_tokens"], other["cached_tokens"]] == [warmed] * 2
    again = run(erllama, "-f", files["a"], "-f", files["b"], "Where?")
    question = again["prompt_tokens"] - again["cached_tokens"]
    assert question < 16


def test_what_the_records_of_a_batch_begin_with_is_read_once(erllama: Erllama, files: dict[str, str]) -> None:
    options = ("-f", files["a"], "--json", "-n", "1", "-t", "0")
    done = erllama("run", "demo", "--batch", "-", "What of it?", *options, stdin="Ann\nBob\nCy\n")
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["index"] for answer in printed] == [1, 2, 3]
    assert sorted(answer["cached_tokens"] > 60 for answer in printed) == [False, True, True]


def test_a_reader_that_leaves_has_the_model_stop(erllama: Erllama) -> None:
    command = erllama.start("run", "demo", "Tell a long story.", "-n", "4000", "-t", "0")
    assert command.stdout is not None and command.stderr is not None
    assert command.stdout.read(1)
    command.stdout.close()
    assert (command.wait(30), command.stderr.read()) == (EXIT_PIPE_CLOSED, b"")
    command.stderr.close()
    while json.loads(erllama("daemon", "status", "--json").stdout)["models"][0]["running"]:
        pass
