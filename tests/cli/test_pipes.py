"""What a script gives `erllama run`, and gets from it: files, standard input, and where the answer goes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon, answer, stats
from cli.terminal import Terminal

from erllama_daemon.errors import EXIT_FAILED, EXIT_USAGE
from erllama_daemon.messages import Done, Explanation, Failure, Stats, Thinking, Token

DOCUMENTS = ["One.\n", "\tTwo,\r\n", "Three."]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command is typed: files `one`, `two` and `three`."""
    for name, text in zip(("one", "two", "three"), DOCUMENTS, strict=True):
        (tmp_path / name).write_bytes(text.encode())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parts_of(fake: FakeDaemon) -> list[str]:
    return fake.asked[-1].messages[-1].parts


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "stdin", "parts"),
    [
        (["-f", "one", "Why?"], "", ["One.\n", "\n\nWhy?"]),
        (["-f", "two", "-f", "one", "Why?"], "", ["\tTwo,\r\n", "\n\nOne.\n", "\n\nWhy?"]),
        (["--file", "one", "Why?"], "Piped.", ["One.\n", "\n\nPiped.", "\n\nWhy?"]),
        (
            ["-f", "one", "-f", "-", "-f", "two", "Why?"],
            "Piped.",
            ["One.\n", "\n\nPiped.", "\n\n\tTwo,\r\n", "\n\nWhy?"],
        ),
        (["-f", "one"], "", ["One.\n"]),
        (["-f", "one", "-"], "Piped.", ["One.\n", "\n\nPiped."]),
        (["-f", "one", "-f", "two"], " \n", ["One.\n", "\n\n\tTwo,\r\n"]),
    ],
    ids=str,
)
def test_files_go_first_in_the_order_given_then_what_is_piped_in_then_the_prompt(
    run: Run, fake: FakeDaemon, arguments: list[str], stdin: str, parts: list[str]
) -> None:
    fake.answers = [answer("I.")]
    assert run("run", "demo", *arguments, stdin=stdin).exit_code == 0
    assert parts_of(fake) == parts


@pytest.mark.usefixtures("folder")
def test_a_document_is_the_same_beginning_however_it_is_given(run: Run, fake: FakeDaemon) -> None:
    fake.answers = [answer("I."), answer("I."), answer(""), answer("I.")]
    fake.reply = Explanation(
        model="demo", root="", prompt_tokens=0, reused_tokens=0, live_tokens=0, ram_tokens=0, disk_tokens=0, blocks=[]
    )
    run("run", "demo", "-f", "one", "Why?")
    run("run", "demo", "Why?", stdin=DOCUMENTS[0])
    run("cache", "warm", "demo", "one")
    run("chat", "demo", "-f", "one", stdin="Why?")
    run("cache", "explain", "demo", "-f", "one", "Why?")
    explained = fake.calls[-1][1].messages  # type: ignore[attr-defined]
    assert [asked.messages[-1].parts[0] for asked in fake.asked] == [DOCUMENTS[0]] * 4
    assert fake.asked[0].messages == fake.asked[1].messages == fake.asked[3].messages == explained


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "stdin", "reason"),
    [
        (["-f", "nowhere"], "", "nowhere cannot be read: no such file or directory"),
        (["-f", "."], "", ". cannot be read: is a directory"),
        (["-f", "empty"], "", "empty is empty"),
        (["-f", "-"], "\n", "standard input is empty"),
        (["-f", "noise"], "", "noise is not UTF-8 text (byte 1)"),
        (["-f", "-"], b"\xff", "standard input is not UTF-8 text (byte 0)"),
    ],
    ids=str,
)
def test_a_document_that_cannot_be_read_is_named_before_a_daemon_starts(
    run: Run, folder: Path, user_home: Path, arguments: list[str], stdin: str | bytes, reason: str
) -> None:
    (folder / "empty").touch()
    (folder / "noise").write_bytes(b"a\xff")
    done = run("run", "demo", "-f", "one", *arguments, "Why?", stdin=stdin)
    assert (done.exit_code, done.stdout) == (EXIT_FAILED, "")
    assert done.stderr.startswith(f"erllama: The document cannot be used: {reason}.\n")
    assert not list(user_home.rglob("erllama"))


@pytest.mark.parametrize(
    "arguments", [["-f", "-", "-f", "-"], ["-f", "-", "-"], ["--batch", "-", "-"], ["--batch", "-", "-f", "-"]], ids=str
)
def test_standard_input_is_read_once(run: Run, arguments: list[str]) -> None:
    done = run("run", "demo", *arguments, stdin="Piped.")
    assert (done.exit_code, done.stderr.splitlines()[0]) == (
        EXIT_USAGE,
        "erllama: The request is not valid: standard input can be read only once.",
    )


@pytest.mark.usefixtures("folder")
def test_files_of_a_chat_at_a_terminal_go_before_what_is_typed_first(
    fake: FakeDaemon, terminals: list[Terminal]
) -> None:
    fake.answers = [answer("I."), answer("So.")]
    terminals.append(terminal := Terminal("chat", "demo", "-f", "one", "-f", "two"))
    terminal.await_text("two goes with your next message: 7 B, 1 line.")
    terminal.await_text(">>>")
    terminal.type("Why?\n")
    terminal.await_text("I.")
    terminal.await_text(">>>")
    terminal.type("And?\n")
    terminal.await_text("So.")
    assert [asked.messages[-1].parts for asked in fake.asked] == [["One.\n", "\n\n\tTwo,\r\n", "\n\nWhy?"], ["And?"]]


def test_a_chat_at_a_terminal_does_not_take_what_is_typed_for_a_file(terminals: list[Terminal]) -> None:
    terminals.append(terminal := Terminal("chat", "demo", "-f", "-"))
    code, seen = terminal.rest()
    assert (code, "and here that is what you type" in " ".join(seen.split())) == (EXIT_USAGE, True)


def test_stats_are_one_line_on_stderr_whoever_hears_it(run: Run, fake: FakeDaemon) -> None:
    cut_off = msgspec.structs.replace(stats("So"), finish_reason="length")
    fake.answers = [answer("Because."), [Token("So"), Done(cut_off)], answer("Because.")]
    done = run("run", "demo", "Why?", "--stats")
    line = "2 tokens, 2000.0 tok/s; 0 of 7 prompt tokens from the cache; first token after 0.00 s"
    assert (done.stdout, done.stderr) == ("Because.\n", f"{line}\n")
    done = run("run", "demo", "Why?", "--stats")
    assert done.stderr == f"{line}; cut off after 2 tokens; see --max-tokens\n", "nothing remarkable is kept back"
    done = run("run", "demo", "Why?", "--stats", "--json")
    assert (msgspec.json.decode(done.stdout, type=Stats).text, done.stderr) == ("Because.", f"{line}\n")
    done = run("run", "demo", "Why?", "--stats", "-q")
    assert (done.exit_code, done.stderr.splitlines()[0]) == (
        EXIT_USAGE,
        "erllama: The request is not valid: --stats and --quiet exclude each other.",
    )


@pytest.mark.parametrize("arguments", [["daemon", "logs", "-f", "--json"], ["ps", "--jsno", "--json"]], ids=" ".join)
@pytest.mark.usefixtures("user_home")
def test_a_failure_is_what_it_is_if_nobody_reads_it_as_json(arguments: list[str]) -> None:
    end, beginning = os.pipe()
    os.close(end)
    command = [sys.executable, "-m", "erllama_cli", *arguments]
    try:
        ended = subprocess.run(command, stdout=beginning, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(beginning)
    assert ended.returncode == EXIT_USAGE
    assert b"Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["sessions", "show", "\udcff"],
        ["sessions", "rm", "\udcff"],
        ["cache", "explain", "--session", "\udcff"],
        ["run", "demo", "Why?", "--session", "\udcff"],
    ],
    ids=lambda arguments: " ".join(arguments[:-1]),
)
def test_an_argument_that_is_no_text_is_told_as_that(run: Run, fake: FakeDaemon, arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.exit_code, "is not UTF-8 text." in done.stderr) == (EXIT_USAGE, True)
    assert fake.calls == []


def test_without_stream_an_answer_is_printed_at_once_or_not_at_all(run: Run, fake: FakeDaemon) -> None:
    fake.answers = [
        [Thinking("Hm."), *answer("Be", "cause.")],
        [Token("So"), Failure("some", "It broke.", None, 1)],
    ]
    assert run("run", "demo", "Why?", "--no-stream").stdout == "Because.\n"
    done = run("run", "demo", "Why?", "--no-stream")
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", "erllama: It broke.\n")


@pytest.mark.parametrize("arguments", [["Why?"], ["--batch", "lines"]], ids=str)
def test_each_token_is_on_its_way_before_the_next_one_comes(
    fake: FakeDaemon, folder: Path, arguments: list[str]
) -> None:
    (folder / "lines").write_text("Why?\n")
    fake.answers, fake.hangs = [[Token("So"), Token(" be"), Token(" it")]], True
    with subprocess.Popen(
        [sys.executable, "-m", "erllama_cli", "run", "demo", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    ) as command:
        assert command.stdout is not None
        assert command.stdout.read(8) == b"So be it"
        command.kill()


@pytest.mark.parametrize(
    ("arguments", "written"), [([], b"Be\x1bcause.\n"), (["--json"], b'{"text":"Be\\u001bcause."')]
)
def test_an_answer_goes_to_a_file_as_to_standard_output(
    run: Run, fake: FakeDaemon, tmp_path: Path, arguments: list[str], written: bytes
) -> None:
    fake.answers = [answer("Be\x1b", "cause.")]
    done = run("run", "demo", "Why?", "-o", str(tmp_path / "answer"), *arguments)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "answer").read_bytes().startswith(written)
    assert [path.name for path in tmp_path.iterdir()] == ["answer"]


def test_a_file_is_written_over_only_by_a_whole_answer_and_keeps_its_mode_and_its_links(
    run: Run, fake: FakeDaemon, tmp_path: Path
) -> None:
    fake.answers = [[Token("So"), Failure("some", "It broke.", None, 1)], answer("Because.")]
    there, link = tmp_path / "there", tmp_path / "link"
    there.write_text("As it was.")
    there.chmod(0o640)
    link.symlink_to(there)
    assert run("run", "demo", "Why?", "--output", str(link)).exit_code == 1
    assert there.read_text() == "As it was."
    assert run("run", "demo", "Why?", "--output", str(link)).exit_code == 0
    assert (there.read_text(), stat.S_IMODE(there.stat().st_mode)) == ("Because.\n", 0o640)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "there"]


def test_a_new_file_may_be_read_by_whom_the_umask_lets(run: Run, fake: FakeDaemon, tmp_path: Path) -> None:
    fake.answers = [answer("Because.")]
    before = os.umask(0o027)
    try:
        run("run", "demo", "Why?", "-o", str(tmp_path / "answer"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "answer").stat().st_mode) == 0o640


def test_a_dash_is_standard_output_and_a_device_is_no_file_to_replace(run: Run, fake: FakeDaemon) -> None:
    fake.answers = [answer("Because."), answer("Because."), answer("Because.")]
    assert run("run", "demo", "Why?", "-o", "-").stdout == "Because.\n"
    assert run("run", "demo", "Why?", "-o", "/dev/null").exit_code == 0
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    done = run("run", "demo", "Why?", "-o", "/dev/full")
    assert (done.exit_code, done.stderr.splitlines()[0]) == (
        EXIT_FAILED,
        "erllama: The answer cannot be written: /dev/full: no space left on device.",
    )


def test_what_a_shell_puts_in_the_place_of_a_file_is_written_to(run: Run, fake: FakeDaemon) -> None:
    fake.answers = [answer("Because.")]
    end, beginning = os.pipe()
    try:
        done = run("run", "demo", "Why?", "-o", f"/dev/fd/{beginning}")
        assert (done.exit_code, done.stderr, os.read(end, 99)) == (0, "", b"Because.\n")
    finally:
        os.close(end)
        os.close(beginning)


@pytest.mark.parametrize(("name", "reason"), [("nowhere/answer", "no such file or directory"), (".", "is a directory")])
def test_a_file_that_cannot_be_written_is_named_before_a_daemon_starts(
    run: Run, user_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("run", "demo", "Why?", "-o", name)
    assert (done.exit_code, done.stderr.splitlines()[0]) == (
        EXIT_FAILED,
        f"erllama: The answer cannot be written: {name}: {reason}.",
    )
    assert not list(user_home.rglob("erllama"))


@pytest.mark.parametrize(
    ("arguments", "buffered"),
    [
        (["--version"], ""),
        (["--help"], ""),
        (["--help"], "1"),
        (["run", "demo", "Why?"], ""),
        (["cache", "stats"], ""),
        (["cache", "stats"], "1"),
    ],
    ids=str,
)
def test_output_that_cannot_be_written_is_told(fake: FakeDaemon, arguments: list[str], buffered: str) -> None:
    fake.answers = [answer("Because.")]
    environment = {**os.environ, "PYTHONUNBUFFERED": buffered}
    command = [sys.executable, "-m", "erllama_cli", *arguments]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, env=environment, check=False
        )
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        EXIT_FAILED,
        b"erllama: The answer cannot be written: No space left on device.",
    )


@pytest.mark.parametrize("arguments", ["--version", "run demo Why?", "cache stats"])
def test_standard_output_that_is_closed_is_told(fake: FakeDaemon, arguments: str) -> None:
    fake.answers = [answer("Because.")]
    command = f'"{sys.executable}" -m erllama_cli {arguments} >&-'
    done = subprocess.run(["/bin/sh", "-c", command], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        EXIT_FAILED,
        b"erllama: The answer cannot be written: standard output is closed.",
    )
