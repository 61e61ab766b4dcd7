"""`erllama run` on the real model, as its user types it."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import Erllama
from models import REAL, ModelUnderTest, model_file

from erllama_daemon.directories import user_directories

DOCUMENT = ModelUnderTest(REAL, Path()).document(300)
LONG_DOCUMENT = ModelUnderTest(REAL, Path()).document(1100)


def answer(erllama: Erllama, *arguments: str, stdin: str = "") -> dict[str, Any]:
    done = erllama("run", "demo", "--json", "-n", "8", "-t", "0", *arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def worker_pid(erllama: Erllama) -> int:
    status = json.loads(erllama("daemon", "status", "--json").stdout)
    return int(status["models"][0]["pid"])


def test_the_same_prompt_twice_is_an_exact_hit_and_again_from_disk_after_kill_9(erllama: Erllama) -> None:
    first = answer(erllama, LONG_DOCUMENT, "--logits-digest")
    second = answer(erllama, LONG_DOCUMENT, "--logits-digest")
    erllama.kill_everything()
    third = answer(erllama, LONG_DOCUMENT, "--logits-digest")
    assert first["prompt_tokens"] > 1000
    assert first["cache_hit_kind"] == "cold"
    for warm in (second, third):
        assert warm["cache_hit_kind"] == "exact"
        assert warm["cached_tokens"] == warm["prompt_tokens"] == first["prompt_tokens"]
        assert (warm["text"], warm["logits_digest"]) == (first["text"], first["logits_digest"])


def test_standard_input_comes_before_the_prompt_and_is_reused_under_another_one(erllama: Erllama) -> None:
    answer(erllama, "What is on the other side?", stdin=DOCUMENT)
    other = answer(erllama, "Who hums?", stdin=DOCUMENT)
    assert other["cache_hit_kind"] == "partial"
    assert other["prompt_tokens"] - other["cached_tokens"] < 40


def test_twenty_first_commands_at_once_end_with_one_daemon_and_twenty_answers(erllama: Erllama) -> None:
    question = ("run", "demo", "Say hello.", "-n", "4", "-t", "0", "--reproducible")
    commands = [erllama.start(*question) for _ in range(20)]
    outputs = [command.communicate(timeout=120) for command in commands]
    assert [command.returncode for command in commands] == [0] * 20, outputs
    assert len({out for out, _err in outputs}) == 1
    assert all(err == b"" for _out, err in outputs)
    assert len(erllama.processes()) == 2  # one daemon, one worker


def test_a_killed_worker_is_named_and_the_next_command_loads_the_model_again(erllama: Erllama) -> None:
    answer(erllama, "Say hello.")
    long = erllama.start("run", "demo", "Tell a long story.", "-n", "4000", "-t", "0")
    assert long.stdout is not None
    assert long.stdout.read(1)
    os.kill(worker_pid(erllama), signal.SIGKILL)
    _out, err = long.communicate(timeout=30)
    assert long.returncode == 1
    assert b"SIGKILL" in err
    assert answer(erllama, "Say hello.")["cache_hit_kind"] == "exact"


def test_a_killed_daemon_is_named_and_takes_its_worker_with_it(erllama: Erllama) -> None:
    answer(erllama, "Say hello.")
    daemon = json.loads(erllama("daemon", "status", "--json").stdout)["pid"]
    long = erllama.start("run", "demo", "Tell a long story.", "-n", "4000", "-t", "0")
    assert long.stdout is not None
    assert long.stdout.read(1)
    os.kill(daemon, signal.SIGKILL)
    _out, err = long.communicate(timeout=30)
    assert long.returncode == 4
    assert err.count(b"\n") <= 3
    deadline = time.monotonic() + 20
    while erllama.processes() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert erllama.processes() == []
    assert answer(erllama, "Say hello.")["cache_hit_kind"] == "exact"


def test_an_answer_cut_off_by_a_stopped_daemon_is_no_success(erllama: Erllama) -> None:
    long = erllama.start("run", "demo", "Tell a long story.", "-n", "4000", "-t", "0")
    assert long.stdout is not None
    assert long.stdout.read(1)
    assert erllama("daemon", "stop").returncode == 0
    _out, err = long.communicate(timeout=30)
    assert long.returncode == 1
    assert b"before the answer was complete" in err


def test_a_runtime_folder_that_does_not_exist_yet_is_made_for_its_owner_only(
    erllama: Erllama, user_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(user_home / "new" / "runtime"))
    assert erllama("run", "demo", "Say hello.", "-n", "1").returncode == 0
    assert stat.S_IMODE((user_home / "new" / "runtime").stat().st_mode) == 0o700
    assert erllama("daemon", "stop").stdout == "stopped\n"


@pytest.mark.usefixtures("erllama")
def test_output_that_cannot_be_written_is_named() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "erllama_cli", "run", "demo", "Say hello.", "-n", "3"],
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert b"The answer cannot be written: No space left on device" in done.stderr


def test_damaged_block_files_change_no_answer(erllama: Erllama, user_home: Path) -> None:
    first = answer(erllama, DOCUMENT, "--logits-digest")
    erllama.kill_everything()
    files = sorted((user_home / "cache").rglob("*.kv"))
    assert len(files) >= 3
    for number, file in enumerate(files):
        data = bytearray(file.read_bytes())
        data[(number * 7919) % len(data)] ^= 0x40
        file.write_bytes(data)
    again = answer(erllama, DOCUMENT, "--logits-digest")
    assert again["cache_hit_kind"] == "cold"
    assert (again["text"], again["logits_digest"]) == (first["text"], first["logits_digest"])
    counters = json.loads(erllama("cache", "stats", "--json").stdout)["counters"]
    assert counters["quarantined"] >= 1


def test_a_deleted_cache_costs_time_and_nothing_else(erllama: Erllama, user_home: Path) -> None:
    first = answer(erllama, DOCUMENT, "--logits-digest")
    erllama.kill_everything()
    for path in sorted((user_home / "cache").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    again = answer(erllama, DOCUMENT, "--logits-digest")
    assert (again["cache_hit_kind"], again["logits_digest"]) == ("cold", first["logits_digest"])


def test_everything_a_run_leaves_is_for_its_owner_only(erllama: Erllama, user_home: Path) -> None:
    answer(erllama, "Say hello.")
    for path in user_home.rglob("*"):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if path.suffix in {".kv", ".sqlite3", ".sock", ".log"}:
            assert mode == 0o600, path
        if path.name in {"blocks", "erllama"}:
            assert mode & 0o077 == 0, path


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "not a GGUF"), (b"PK\x03\x04 not a model", "not a GGUF"), (None, "corrupted or incomplete")],
    ids=["empty", "other", "truncated"],
)
def test_a_file_that_is_no_model_is_named(erllama: Erllama, tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(model_file(REAL, tmp_path).read_bytes()[:5_000_000] if content is None else content)
    done = erllama("run", str(path), "Hello")
    assert done.returncode == 3
    assert reason in done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) <= 2
    assert "--ctx" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("run", "/no/such/model.gguf", "Hello"), 3, "There is no model /no/such/model.gguf"),
        (("run", "unheard-of", "Hello"), 3, "There is no model unheard-of"),
        (("run", "demo", ""), 2, "empty"),
        (("run", "demo", "  \n"), 2, "empty"),
        (("run", "demo", "llama " * 9000), 5, "8,192"),
        (("run", "demo", "Hello", "-t", "-1"), 2, "temperature"),
        (("run", "demo", "Hello", "-n", "0"), 2, ""),
        (("chat", "--session", "nobody"), 1, "There is no conversation nobody"),
        (("chat", "--continue"), 1, "no conversation"),
    ],
)
def test_bad_input_is_named_with_its_exit_code(
    erllama: Erllama, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = erllama(*arguments, stdin="Hello" if arguments[0] == "chat" else "")
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_a_cache_folder_that_cannot_be_written_costs_no_answer_and_is_named_in_the_log(
    erllama: Erllama, user_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (user_home / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(user_home / "file"))
    done = erllama("run", "demo", "Hello", "-n", "4", "--json")
    assert (done.returncode, json.loads(done.stdout)["saved"]) == (0, "dropped")
    log = user_directories().daemon_log.read_text()
    assert f"nothing is kept on disk: The cache directory {user_home / 'file'}" in log
