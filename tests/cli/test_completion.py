"""What the shells complete, in the real bash, and as zsh and fish are told."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cache.samples import ROOT
from cli.cached_home import LLAMAS, RIVERS, furnish

from erllama_cli.completion.candidates import complete_chat_or_key, complete_session
from erllama_cli.completion.words import continued, quoted, typed_words, unquoted
from erllama_daemon.directories import user_directories
from erllama_daemon.messages import Message
from erllama_daemon.sessions.store import Sessions

BASH = shutil.which("bash") or "bash"
COMPLETIONS = Path(__file__).parents[2] / "completions"

NAMES = {
    "my build": "my",
    "the build: why": "the\\ build:",
    'it\'s "so" $HOME *': "it",
    "🦙 llama": "🦙",
    "fork:two": "fork:t",
    "fork:one": "fork:o",
}
"""Each with what has to be typed to have it completed."""


class Shell:
    """A bash at a terminal, where `erllama` completes for real and otherwise prints its arguments."""

    def __init__(self, folder: Path) -> None:
        stub = folder / "erllama"
        stub.write_text(
            f'#!/bin/sh\nif [ -n "$_ERLLAMA_COMPLETE" ]; then exec {sys.executable} -m erllama_cli; fi\n'
            """for word in "$@"; do printf '<%s>' "$word"; done; echo ' done'\n"""
        )
        stub.chmod(0o755)
        self._end, inner = pty.openpty()
        self._process = subprocess.Popen(
            [BASH, "--norc", "--noprofile", "-i"],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            cwd=folder,
            env={
                **os.environ,
                "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
                "TERM": "dumb",
                "LC_ALL": "C.UTF-8",
                "INPUTRC": "/dev/null",
            },
        )
        os.close(inner)
        # What the terminal shows of the typing itself holds no result of the addition.
        self._type(f". {COMPLETIONS}/erllama.bash; PS1=; echo ready $((3 + 4))\n")
        self._until("ready 7\r\n")

    def arguments(self, typed: str) -> str:
        """What a command gets as arguments once the Tab key has been pressed behind what is `typed`."""
        self._type(f"{typed}\t\n")
        return self._until(" done\r\n").splitlines()[-1].removesuffix(" done")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._end)

    def _type(self, keys: str) -> None:
        os.write(self._end, keys.encode())

    def _until(self, text: str) -> str:
        seen, deadline = "", time.monotonic() + 60
        while text not in seen:
            assert time.monotonic() < deadline, seen
            if select.select([self._end], [], [], 0.5)[0]:
                seen += os.read(self._end, 4096).decode(errors="replace")
        return seen


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    opened = Shell(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def kept() -> None:
    sessions = Sessions(user_directories().sessions)
    for name in NAMES:
        session = sessions.create("demo", name)
        sessions.ask(session.id, [Message("user", [f"What of {name}?"])])
    sessions.close()


def asked(shell: str, line: str) -> list[str]:
    """What a shell's script gets for a line up to the cursor."""
    done = subprocess.run(
        [sys.executable, "-m", "erllama_cli"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "_ERLLAMA_COMPLETE": f"complete_{shell}", "_ERLLAMA_COMPLETE_LINE": line},
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.usefixtures("kept")
def test_a_real_bash_completes_names_so_that_they_arrive_as_they_are(shell: Shell) -> None:
    for name, begun in NAMES.items():
        assert shell.arguments(f"erllama sessions show {begun}") == f"<sessions><show><{name}>"


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("typed", "arguments"),
    [
        ('erllama sessions rm "m', "<sessions><rm><my build>"),
        ("erllama sessions rm 'it", '<sessions><rm><it\'s "so" $HOME *>'),
        ("erllama cache ls --session=my", "<cache><ls><--session=my build>"),
        ('erllama cache ls --session "the build:', "<cache><ls><--session><the build: why>"),
        ("erllama chat --session my", "<chat><--session><my build>"),
        ("X=1 erllama sessions fork fork:t", "<sessions><fork><fork:two>"),
        ("true; erllama sessions export my", "<sessions><export><my build>"),
        ("erllama daemon stat", "<daemon><status>"),
    ],
)
def test_a_real_bash_completes_within_quotes_options_and_other_commands(
    shell: Shell, typed: str, arguments: str
) -> None:
    assert shell.arguments(typed) == arguments


@pytest.mark.usefixtures("kept")
def test_where_nothing_is_known_bash_completes_files(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "saved.json").touch()
    assert shell.arguments("erllama sessions import sav") == "<sessions><import><saved.json>"


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("erllama c", {"cache", "chat"}),
        ("erllama daemon st", {"start", "status", "stop"}),
        ("erllama adapter ", {"load", "unload", "scale", "ls"}),
        ("erllama sessions ", {"ls", "show", "rm", "rename", "fork", "export", "import"}),
        ("erllama chat --cont", {"--continue"}),
        ("erllama run --flash-attention ", {"auto", "on", "off"}),
        ("erllama run --flash-attention=o", {"--flash-attention=on", "--flash-attention=off"}),
    ],
)
def test_commands_options_and_choices_are_completed(line: str, completed: set[str]) -> None:
    assert {candidate.partition("\t")[0] for candidate in asked("fish", line)} == completed


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_zsh_and_fish_get_names_unquoted_with_how_the_conversation_began(shell: str) -> None:
    assert asked(shell, "erllama sessions show ") == [f"{name}\tWhat of {name}?" for name in reversed(NAMES)]
    assert asked(shell, "erllama sessions show fork:t") == ["fork:two\tWhat of fork:two?"]
    assert asked(shell, 'erllama cache ls --session="my') == ["--session=my build\tWhat of my build?"]


@pytest.mark.usefixtures("kept")
def test_no_daemon_and_no_heavy_module_is_needed() -> None:
    program = (
        "import os, sys; os.environ.update(_ERLLAMA_COMPLETE='complete_zsh',"
        " _ERLLAMA_COMPLETE_LINE='erllama sessions show ');"
        "import atexit; atexit.register(lambda:"
        "print({'rich', 'httpx', 'prompt_toolkit', 'numpy', 'llama_cpp', 'erllama_cli.chat', 'erllama_cli.cache.tree'}"
        " & set(sys.modules), file=sys.stderr));"
        "from erllama_cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == len(NAMES)
    assert done.stderr == "set()\n"
    assert not user_directories().socket.exists()


def test_a_conversation_goes_by_its_name_and_by_its_id_once_that_is_begun() -> None:
    furnish()
    sessions = Sessions(user_directories().sessions)
    sessions.change(LLAMAS, name="build")
    sessions.close()
    assert complete_session("") == [(RIVERS, "Rivers?"), ("build", "Llamas?")]
    assert complete_session("b") == [(RIVERS, "Rivers?"), ("build", "Llamas?")]
    assert complete_session(LLAMAS[:3]) == [(LLAMAS, "build")]
    assert complete_session("x") == []


def test_keys_are_completed_once_a_digit_is_there() -> None:
    home = furnish()
    key = home.llamas[-1].key.hex()
    assert {candidate for candidate, _text in complete_chat_or_key("")} == {LLAMAS, RIVERS}
    assert key[:12] in {candidate for candidate, _text in complete_chat_or_key(key[:2])}
    assert key in {candidate for candidate, _text in complete_chat_or_key(key[:20])}
    assert complete_chat_or_key("z" + ROOT.hex()) == []


@pytest.mark.usefixtures("user_home")
def test_what_cannot_be_read_completes_nothing() -> None:
    assert complete_session("") == []
    path = user_directories().sessions
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    assert complete_session("") == []
    assert complete_chat_or_key("ab") == []


@pytest.mark.parametrize("quote", ["", "'", '"'])
@pytest.mark.parametrize("name", [*NAMES, "back\\slash", "a'b\"c`d", "#;&|<>(){}[]!~^", "tab\tand space "])
def test_what_is_quoted_means_what_it_was(name: str, quote: str) -> None:
    assert unquoted(quote + quoted(name, quote)) == (name, quote)  # type: ignore[arg-type]
    assert typed_words(f"a {quote}{quoted(name, quote)}").meant == name  # type: ignore[arg-type]


def test_words_are_told_apart_as_a_shell_does() -> None:
    words = typed_words("""erllama  run 'a b' c\\ d "e \\" f" g'h""")
    assert words.before == ["erllama", "run", "a b", "c d", 'e " f']
    assert (words.raw, words.meant) == ("g'h", "gh")
    assert typed_words("erllama ").meant == ""
    assert typed_words("a b\\").meant == "b"


def test_only_what_the_shell_replaces_is_given_back() -> None:
    word = typed_words('show "the build:')
    assert continued("the build: why", word, "the build:") == "the build: why"
    assert continued("the build: why", typed_words("show the\\ build:"), "") == "\\ why"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_scripts_that_are_shown_are_the_ones_that_are_installed(shell: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "erllama_cli", "--show-completion", shell],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
    )
    file = {"bash": "erllama.bash", "zsh": "_erllama", "fish": "erllama.fish"}[shell]
    assert done.stdout.strip() == (COMPLETIONS / file).read_text().strip()
