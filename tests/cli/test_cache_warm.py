"""`cache warm`: each document is asked for as a question about it would be, and one that fails stops no other."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from cli.cached_home import furnish
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon, stats

from erllama_cache.disk.pins import Pins
from erllama_cli.results.cache import Warmed
from erllama_daemon.directories import user_directories
from erllama_daemon.errors import EXIT_CONTEXT, EXIT_FAILED, EXIT_UNREACHABLE
from erllama_daemon.messages import Done, Failure, Message, SaveState


def read(tokens: int, cached: int, *, saved: SaveState = "published", key: str = "f" * 64) -> list[Done]:
    return [
        Done(
            msgspec.structs.replace(
                stats(""),
                prompt_tokens=tokens,
                cached_tokens=cached,
                prefill_ms=11_150.0,
                saved=saved,
                finish_key=key,
            )
        )
    ]


@pytest.fixture
def report(tmp_path: Path) -> str:
    path = tmp_path / "report.txt"
    path.write_text("All is well.")
    return str(path)


def test_a_line_a_file_says_what_was_read(run: Run, fake: FakeDaemon, report: str) -> None:
    fake.answers = [read(3992, 512), read(0, 0)]
    done = run("cache", "warm", "demo", report, "-", stdin="Hm.")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        f"{report}: 3,480 tokens read, 512 from the cache, 11.2 s",
        "-: too short to be worth keeping",
    ]


def test_it_is_asked_as_a_question_about_the_document_begins(run: Run, fake: FakeDaemon, report: str) -> None:
    fake.answers = [read(20, 0)]
    run("cache", "warm", "demo", "-s", "Be brief.", "--ctx", "4096", report)
    (asked,) = fake.asked
    assert asked.messages == [Message("system", ["Be brief."]), Message("user", ["All is well.", "\n\n?"])]
    assert (asked.model, asked.max_tokens, asked.options.context_size) == ("demo", 0, 4096)


def test_json_is_one_object(run: Run, fake: FakeDaemon, report: str) -> None:
    fake.answers = [read(20, 4)]
    done = run("cache", "warm", "demo", report, "--json")
    (file,) = msgspec.json.decode(done.stdout, type=Warmed).files
    assert (file.file, file.tokens, file.cached_tokens, file.finish_key, file.kept) == (report, 20, 4, "f" * 64, True)


def test_documents_that_cannot_be_read_stop_no_other(run: Run, fake: FakeDaemon, report: str, tmp_path: Path) -> None:
    noise, empty = tmp_path / "noise.bin", tmp_path / "empty.txt"
    noise.write_bytes(b"\xff\xfe")
    empty.write_text("\n")
    fake.answers = [[Failure("context_exceeded", "The prompt is too long.", None, EXIT_CONTEXT)], read(20, 0)]
    done = run("cache", "warm", "demo", report, str(noise), str(empty), "nothing.txt", report)
    assert done.exit_code == EXIT_CONTEXT, "that of the first"
    assert done.stdout == f"{report}: 20 tokens read, 0 from the cache, 11.2 s\n"
    assert f"erllama: {report}: The prompt is too long." in done.stderr
    assert f"{noise} is not UTF-8 text (byte 0)" in done.stderr
    assert f"erllama: {empty}: The prompt is empty." in done.stderr
    assert "nothing.txt cannot be read: no such file" in done.stderr


def test_what_would_befall_every_document_ends_it(run: Run, fake: FakeDaemon, report: str) -> None:
    fake.answers = [[Failure("daemon_lost", "It is gone.", None, EXIT_UNREACHABLE)]]
    done = run("cache", "warm", "demo", report, report, "--json")
    assert done.exit_code == EXIT_UNREACHABLE
    assert msgspec.json.decode(done.stdout)["error"]["code"] == "daemon_lost"


def test_pinning_spares_the_last_block(run: Run, fake: FakeDaemon, report: str) -> None:
    block = furnish().alone
    fake.answers = [read(20, 0, key=block.key.hex())]
    done = run("cache", "warm", "demo", "--pin", report)
    assert done.stdout == f"{report}: 20 tokens read, 0 from the cache, 11.2 s, pinned\n"
    assert Pins(user_directories().cache).all() == {block.key}


@pytest.mark.parametrize(
    "answer", [read(20, 0, saved="dropped"), read(0, 0), read(20, 0)], ids=["dropped", "too short", "gone"]
)
def test_what_is_not_on_disk_cannot_be_pinned(run: Run, fake: FakeDaemon, report: str, answer: list[Done]) -> None:
    fake.answers = [answer]
    done = run("cache", "warm", "demo", "--pin", report)
    assert done.exit_code == EXIT_FAILED
    assert f"Nothing of {report} is on disk that could be pinned." in done.stderr


def test_quiet_says_nothing(run: Run, fake: FakeDaemon, report: str) -> None:
    fake.answers = [read(20, 0)]
    done = run("cache", "warm", "demo", "-q", report)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")
