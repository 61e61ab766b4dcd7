from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon, answer, stats

from erllama_cli.failures import EXIT_PIPE_CLOSED
from erllama_daemon.errors import (
    EXIT_CONTEXT,
    EXIT_INTERRUPTED,
    EXIT_MODEL,
    EXIT_NOT_CACHED,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
)
from erllama_daemon.messages import Failure, Loading, Prefilling, Stats, Token


def _start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "erllama_cli", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_the_answer_goes_to_stdout_and_nothing_else_goes_anywhere(run: Run, fake: FakeDaemon) -> None:
    fake.answers = [[Loading("demo"), Prefilling(1, 7, 0), *answer("Because", " they can.")]]
    done = run("run", "demo", "Why?")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "Because they can.\n", "")


def test_no_newline_is_added_to_an_answer_that_ends_with_one(run: Run, fake: FakeDaemon) -> None:
    fake.answers = [answer("Yes.\n")]
    assert run("run", "demo", "Why?").stdout == "Yes.\n"


@pytest.mark.parametrize(
    ("arguments", "stdin", "parts"),
    [
        (["Who?"], "", ["Who?"]),
        (["Who?"], "A text.\n", ["A text.\n", "\n\nWho?"]),
        ([], "A text.\n", ["A text.\n"]),
        (["-"], "A text.\n", ["A text.\n"]),
        (["Who?"], " \n", ["Who?"]),
    ],
)
def test_what_is_piped_in_goes_before_the_prompt(
    run: Run, fake: FakeDaemon, arguments: list[str], stdin: str, parts: list[str]
) -> None:
    fake.answers = [answer("I.")]
    assert run("run", "demo", *arguments, stdin=stdin).exit_code == 0
    assert [message.parts for message in fake.asked[0].messages] == [parts]


def test_options_reach_the_daemon(run: Run, fake: FakeDaemon) -> None:
    fake.answers = [answer("I.")]
    run(
        "run", "demo", "Who?", "-n", "3", "-t", "0", "--top-k", "5", "--seed", "9", "-s", "Be brief.", "--logits-digest"
    )
    (request,) = fake.asked
    assert (request.model, request.max_tokens, request.logits_digest) == ("demo", 3, True)
    assert (request.sampling.temperature, request.sampling.top_k, request.sampling.seed) == (0, 5, 9)
    assert [(message.role, message.text) for message in request.messages] == [("system", "Be brief."), ("user", "Who?")]


def test_a_file_is_sent_as_an_absolute_path(
    run: Run, fake: FakeDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.answers = [answer("I.")]
    (tmp_path / "m.gguf").touch()
    monkeypatch.chdir(tmp_path)
    run("run", "m.gguf", "Who?")
    assert fake.asked[0].model == str(tmp_path / "m.gguf")


def test_json_is_one_object_and_nothing_else(run: Run, fake: FakeDaemon) -> None:
    fake.answers = [answer("Be", "cause.")]
    done = run("run", "demo", "Why?", "--json")
    assert done.stdout.count("\n") == 1
    assert msgspec.json.decode(done.stdout, type=Stats) == stats("Because.")
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "stdin", "code"),
    [
        (["demo"], "", "prompt_empty"),
        (["demo", " "], "", "prompt_empty"),
        (["demo"], b"\xff\xfe", "request_invalid"),
    ],
)
def test_bad_input_is_refused_before_a_daemon_starts(
    run: Run, user_home: Path, arguments: list[str], stdin: str | bytes, code: str
) -> None:
    done = run("run", *arguments, "--json", stdin=stdin)
    assert done.exit_code == EXIT_USAGE
    assert msgspec.json.decode(done.stdout)["error"]["code"] == code
    assert not list(user_home.rglob("erllama"))


def test_a_missing_file_is_told_before_a_daemon_starts(run: Run, user_home: Path) -> None:
    done = run("run", "./nowhere.gguf", "Why?")
    assert (done.exit_code, done.stdout) == (EXIT_MODEL, "")
    assert done.stderr.startswith("erllama: There is no model ./nowhere.gguf.\n")
    assert not list(user_home.rglob("erllama"))


@pytest.mark.parametrize("exit_code", [1, EXIT_MODEL, EXIT_CONTEXT, EXIT_NOT_CACHED])
def test_a_refusal_and_a_failure_keep_their_exit_code(run: Run, fake: FakeDaemon, exit_code: int) -> None:
    failure = Failure("some", "It broke.", "Mend it.", exit_code)
    fake.answers = [[Token("So"), failure]]
    done = run("run", "demo", "Why?")
    assert (done.exit_code, done.stdout, done.stderr) == (exit_code, "So\n", "erllama: It broke.\nMend it.\n")
    fake.refusal = (500, failure)
    done = run("run", "demo", "Why?")
    assert (done.exit_code, done.stdout, done.stderr) == (exit_code, "", "erllama: It broke.\nMend it.\n")


def test_an_answer_that_breaks_off_is_named(run: Run, fake: FakeDaemon) -> None:
    fake.answers = [[Token("So")]]
    done = run("run", "demo", "Why?")
    assert (done.exit_code, done.stdout) == (EXIT_UNREACHABLE, "So\n")
    assert "went away in the middle of the answer" in done.stderr


def test_a_traceback_is_shown_with_debug_only(run: Run, fake: FakeDaemon) -> None:
    fake.answers = [[], []]
    assert "Traceback" not in run("run", "demo", "Why?").stderr
    assert "Traceback" in run("run", "demo", "Why?", "--debug").stderr


def test_ctrl_c_cancels_without_a_word(fake: FakeDaemon) -> None:
    fake.answers, fake.hangs = [[Token("So")]], True
    with _start("run", "demo", "Why?") as command:
        assert command.stdout is not None and command.stderr is not None
        assert command.stdout.read(2) == b"So"
        command.send_signal(signal.SIGINT)
        assert command.wait(10) == EXIT_INTERRUPTED
        assert (command.stdout.read(), command.stderr.read()) == (b"", b"")
    assert fake.hung_up.wait(10)


def test_ctrl_c_before_all_is_imported_ends_without_a_word() -> None:
    interrupted = (
        "import os, signal, sys\n"
        "class Interrupting:\n"
        "    def find_spec(name, *_):\n"
        "        if name == 'typer':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting)\n"
        "sys.argv[1:] = ['ps']\n"
        "from erllama_cli.main import main; main()"
    )
    ended = subprocess.run([sys.executable, "-c", interrupted], capture_output=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, b"", b"")


@pytest.mark.usefixtures("user_home")
@pytest.mark.parametrize("model", ["a" * 300, "/" + "a" * 300, "./" + "a" * 300], ids=lambda model: model[:3])
def test_a_prompt_where_a_model_belongs_is_no_model_however_long_it_is(run: Run, model: str) -> None:
    done = run("models", "info", model)
    assert (done.exit_code, done.stderr.startswith(f"erllama: There is no model {model}.\n")) == (EXIT_MODEL, True)


def test_a_reader_that_leaves_early_cancels_without_a_word(fake: FakeDaemon) -> None:
    fake.answers, fake.hangs = [[Token("word " * 100) for _ in range(1000)]], True
    with _start("run", "demo", "Why?") as command:
        assert command.stdout is not None and command.stderr is not None
        assert os.read(command.stdout.fileno(), 4) == b"word"
        command.stdout.close()
        assert command.wait(10) == EXIT_PIPE_CLOSED
        assert command.stderr.read() == b""


def hint(run: Run, *arguments: str, stdin: str | bytes = "") -> str:
    return run(*arguments, stdin=stdin).stderr.splitlines()[-1]


def test_what_is_wrong_is_followed_by_what_helps_there(run: Run, tmp_path: Path, fake: FakeDaemon) -> None:
    fake.answers = [answer("One.")]
    assert "erllama cache evict --older-than" in hint(run, "cache", "evict")
    assert '{"prompt": "Why?"' in hint(run, "run", "demo", "--batch", "-", stdin='{"promt": "d"}\n')
    assert "has to be converted" in hint(run, "run", "demo", "Why?", stdin=b"\xff\xfe")
    assert "a folder that is there" in hint(run, "run", "demo", "Why?", "-o", str(tmp_path / "x" / "y"))
