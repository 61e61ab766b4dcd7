"""What the log says, and that no line of it is lost."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from daemon.house import House, Tell, until
from daemon.living import living

from erllama_daemon.config import ByteSize, Config, DaemonConfig
from erllama_daemon.life.life import PROMPTS_LOGGED
from erllama_daemon.life.log import LogFile, LogStream, configure_log
from erllama_daemon.life.origin import started_by
from erllama_daemon.log_line import JournalLine, JsonLine, dated_lines, facts, worker_lines
from erllama_daemon.models import worker_log
from erllama_daemon.request_id import REQUEST_ID

WRITE = """
import logging, os, sys
from pathlib import Path
from erllama_daemon.config import ByteSize, DaemonConfig
from erllama_daemon.life.log import open_log

path, files = Path(sys.argv[1]), int(sys.argv[2])
log = open_log("command", path, DaemonConfig(log_bytes=ByteSize(1000), log_files=files))
for number in range(60):
    logging.info("event %d", number)
    os.write(2, b"native %d\\n" % number)
    if number == 57 and "move" in sys.argv:
        path.rename(path.with_name("taken"))
    if number == 58:
        log.reopen()
"""


def written(path: Path, files: int, *more: str) -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", WRITE, str(path), str(files), *more], capture_output=True, text=True, check=True
    )
    assert done.stdout + done.stderr == ""
    return {file.name: file.read_text().splitlines() for file in path.parent.iterdir()}


def record(message: str, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("x", level, "f", 1, message, (), None)


def test_a_log_that_is_put_aside_loses_no_line_whoever_printed_it(tmp_path: Path) -> None:
    path = tmp_path / "log" / "daemon.log"
    files = written(path, 9)
    assert len(files) > 2
    assert all((path.parent / name).stat().st_size < 1100 for name in files)
    lines = [line for name in sorted(files, reverse=True) for line in files[name]]
    for kind in ("event", "native"):
        numbers = [int(line.rpartition(" ")[2]) for line in lines if f"{kind} " in line]
        assert numbers == list(range(60))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(("files", "names"), [(0, {"daemon.log"}), (1, {"daemon.log", "daemon.log.1"})])
def test_no_more_files_are_kept_than_the_user_wants(tmp_path: Path, files: int, names: set[str]) -> None:
    found = written(tmp_path / "log" / "daemon.log", files)
    assert set(found) == names
    assert found["daemon.log"][-1] == "native 59"


def test_a_log_that_somebody_moved_away_is_begun_anew(tmp_path: Path) -> None:
    found = written(tmp_path / "log" / "daemon.log", 0, "move")
    assert found["taken"][-1] == "native 57"
    assert [line.rpartition(" ")[2] for line in found["daemon.log"]] == ["58", "58", "59", "59"]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LogFile]:
    monkeypatch.setattr(os, "dup2", lambda *_: None)  # standard output stays the test's
    file = LogFile(tmp_path / "log" / "daemon.log", DaemonConfig(log_bytes=ByteSize(1)))
    yield file
    file.close()


def test_a_log_whose_folder_is_gone_is_begun_anew_and_what_logs_goes_on_without_one(
    log: LogFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(log.baseFilename)
    shutil.rmtree(path.parent)
    log.handle(record("first"))
    assert path.read_text().endswith("first\n")
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    shutil.rmtree(path.parent)
    put_aside = path.parent.with_name("in the way")
    path.parent.write_text("")
    monkeypatch.setattr(logging, "raiseExceptions", False)
    log.handle(record("lost"))
    path.parent.rename(put_aside)
    log.handle(record("last"))
    assert path.read_text().endswith("last\n")


def test_logs_beyond_a_smaller_number_go(log: LogFile) -> None:
    path = Path(log.baseFilename)
    for _ in range(6):
        log.handle(record("x"))
    assert len(list(path.parent.iterdir())) == 4
    log.configure(DaemonConfig(log_bytes=ByteSize(1), log_files=1))
    log.handle(record("x"))
    assert {file.name for file in path.parent.iterdir()} == {"daemon.log", "daemon.log.1"}


def test_an_event_is_one_line_whatever_is_in_it() -> None:
    told = facts(model='/a b/"c".gguf', ms=12.7, text="x\ny\x1b[2J", plain="/a/b", none=None)
    assert told == 'model="/a b/\\"c\\".gguf" ms=13 text="x\ny\x1b[2J" plain=/a/b'
    line = worker_lines().format(record(told))
    assert line == 'INFO model="/a b/\\"c\\".gguf" ms=13 text="x\\ny\\x1b[2J" plain=/a/b'
    assert dated_lines().format(record("so")).endswith(" INFO so")


def test_an_exception_is_one_line_too() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        failed = logging.LogRecord("x", logging.ERROR, "f", 1, "it failed", (), sys.exc_info())
    line = worker_lines().format(failed)
    assert line.startswith("ERROR it failed\\nTraceback ")
    assert line.endswith("ValueError: two\\nlines")
    assert "\n" not in line


def test_the_journal_is_told_the_level_and_no_time() -> None:
    assert JournalLine("%(message)s").format(record("so", logging.ERROR)) == "<3>so"


@pytest.mark.parametrize(
    ("arguments", "environment", "by"),
    [
        (["--in-background"], {"NOTIFY_SOCKET": "/n"}, "command"),
        ([], {"NOTIFY_SOCKET": "/n"}, "systemd"),
        ([], {"JOURNAL_STREAM": "1:2"}, "foreground"),
        ([], {}, "foreground"),
    ],
)
def test_who_started_it_is_known(arguments: list[str], environment: dict[str, str], by: str) -> None:
    assert started_by(arguments, environment) == by


def test_what_has_the_journal_for_its_standard_error_was_started_by_systemd() -> None:
    found = os.fstat(2)
    assert started_by([], {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}) == "systemd"


def test_what_a_worker_prints_is_logged_line_by_line_with_its_level(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_log, "LINE_BYTES", 10)

    async def read() -> None:
        stream = asyncio.StreamReader()
        for chunk in (b"INFO sa", b"ved\nbare\n\nERROR \xff\n", b"0123456789" * 2 + b"end\nlast"):
            stream.feed_data(chunk)
        stream.feed_eof()
        await worker_log.log_output(stream, "demo", 7)

    with caplog.at_level(logging.INFO):
        asyncio.run(read())
    assert [(each.levelname, each.getMessage().removeprefix("worker says: ")) for each in caplog.records] == [
        ("INFO", "model=demo pid=7: saved"),
        ("WARNING", "model=demo pid=7: bare"),
        ("ERROR", "model=demo pid=7: \\xff"),
        ("WARNING", "model=demo pid=7: 0123456789"),
        ("WARNING", "model=demo pid=7: 0123456789"),
        ("WARNING", "model=demo pid=7: end"),
        ("WARNING", "model=demo pid=7: last"),
    ]


def test_a_models_life_is_in_the_log_and_its_last_words_stand_before_its_end(
    tell: Tell, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(house: House) -> None:
        path = house.model(prints="hello\n" + "x" * (1 << 18) + "\nbye")
        await house.touch(path)
        await house.supervisor.unload(path)
        gone = house.model("b", load="die", prints="oh no")
        with pytest.raises(Exception, match="SIGKILL"):
            await house.touch(gone)
        await until(lambda: not house.supervisor.holds_models)

    with caplog.at_level(logging.INFO):
        tell(story)
    lines = [each.getMessage() for each in caplog.records if each.name.startswith("erllama")]
    assert sum(line.count("x") for line in lines if "xxx" in line) == 1 << 18
    told = [line for line in lines if "xxx" not in line]
    said = [line.rpartition(": ")[2] for line in told if line.startswith("worker says: ")]
    assert said == ["hello", "bye", "oh no"]
    # Of what a worker prints and what it reports, either may be read first; its end is always last.
    events = [line.partition(":")[0] for line in told if not line.startswith("worker says: ")]
    assert events == ["worker started", "model loaded", "model unloaded", "worker started", "worker ended"]
    assert 'why=asked how="it exited with code 0"' in told[4]
    assert told[7].endswith('how="it was killed by SIGKILL"')


WORDS = "xyzzy-plugh"


async def _talk(config: Config) -> None:
    """What is asked and refused in all ways, with a secret in each."""
    async with living(config) as alive:
        model = alive.model(answers={WORDS: f"{WORDS} answered"})
        question = {"model": model, "messages": [{"role": "user", "parts": [WORDS]}]}
        for body in (
            question,
            {**question, "sampling": {"grammar": WORDS, "json_schema": WORDS}},
            {**question, "options": {"context_size": 2}},
            {**question, "nonsense": WORDS},
            {**question, "model": WORDS},
        ):
            await alive.ask("POST", "/v1/complete", body)
        calls: dict[str, object] = {
            "/v1/tokenize": {"model": model, "text": WORDS},
            "/v1/embed": {"model": model, "texts": [WORDS]},
            f"/v1/nowhere?text={WORDS}": {},  # of what leads nowhere, the path is in the log, and no query
        }
        for path, call in calls.items():
            await alive.ask("POST", path, call)
        await alive.ask("GET", f"/v1/sessions?text={WORDS}")


def test_nothing_that_is_asked_or_answered_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        asyncio.run(asyncio.wait_for(_talk(Config()), 60))
    assert "answer finished" in caplog.text and "answer failed" in caplog.text
    assert WORDS not in caplog.text and PROMPTS_LOGGED not in caplog.text


def test_prompts_and_answers_are_logged_for_who_wants_them_and_says_so_and_private_ones_never(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story() -> None:
        async with living(Config(daemon=DaemonConfig(log_prompts=True))) as alive:
            model = alive.model(answers={"why": "because", WORDS: f"{WORDS} too"})
            for text, private in (("why", False), (WORDS, True)):
                asked = {"model": model, "messages": [{"role": "user", "parts": [text]}], "private": private}
                assert (await alive.ask("POST", "/v1/complete", asked))[-1]["event"] == "done"

    with caplog.at_level(logging.INFO):
        asyncio.run(asyncio.wait_for(story(), 60))
    assert PROMPTS_LOGGED in caplog.text
    assert "role=user text=why" in caplog.text and "text=because" in caplog.text
    assert WORDS not in caplog.text


def json_line(message: str, *args: object, **more: Any) -> dict[str, Any]:
    made = logging.LogRecord("x", logging.WARNING, "f", 1, message, args, more.get("exc_info"))
    line = JsonLine().format(made)
    assert "\n" not in line
    found: dict[str, Any] = json.loads(line)
    assert datetime.fromisoformat(found.pop("time")).tzinfo is not None
    assert found.pop("level") == "warning"
    return found


def test_a_line_of_json_has_each_fact_by_its_name() -> None:
    told = facts(id=3, model="/a b.gguf", ms=12.7, none=None)
    assert json_line("answer finished: %s", told) == {
        "message": "answer finished",
        "id": 3,
        "model": "/a b.gguf",
        "ms": 13,
    }
    whose = facts(model="demo", pid=7)
    said = {"message": "worker says", "model": "demo", "pid": 7, "text": "ggml: no 100%\n"}
    assert json_line("worker says: %s: %s", whose, "ggml: no 100%\n") == said
    assert json_line("the socket is left behind: %s", "why\udc80") == {
        "message": "the socket is left behind: why\\udc80"
    }
    try:
        raise ValueError("no")
    except ValueError:
        assert json_line("it failed", exc_info=sys.exc_info())["traceback"].endswith("ValueError: no")


def test_a_line_of_json_says_whose_request_it_is_and_the_journal_its_level() -> None:
    token = REQUEST_ID.set("req_1")
    try:
        assert json_line("x") == {"message": "x", "request": "req_1"}
        assert JsonLine(levels=True).format(record("x", logging.ERROR)).startswith('<3>{"time":')
    finally:
        REQUEST_ID.reset(token)


def test_the_format_of_the_log_is_what_is_configured_from_the_next_line_on(log: LogFile) -> None:
    path = Path(log.baseFilename)
    log.configure(DaemonConfig(log_format="json"))
    log.handle(record("x"))
    assert json.loads(path.read_text())["message"] == "x"
    log.configure(DaemonConfig())
    log.handle(record("y"))
    assert path.read_text().endswith(" INFO y\n")


def test_standard_error_and_a_file_take_on_another_format(
    log: LogFile, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = LogStream(DaemonConfig())
    monkeypatch.setattr(logging.getLogger(), "handlers", [stream, log])
    configure_log(DaemonConfig(log_format="json"))
    for handler in (stream, log):
        handler.handle(record("x"))
    for written in (capsys.readouterr().err, Path(log.baseFilename).read_text()):
        assert json.loads(written)["message"] == "x"
