"""What the shells complete, in the real ones."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cache.samples import ROOT
from cli.cached_home import LLAMAS, RIVERS, furnish
from cli.fake_daemon import FakeDaemon, model_status
from cli.shells import COMPLETIONS, SHELLS, Shell
from made_up_stores import Stores
from typer.main import get_command

from erllama_cli.command import new_app
from erllama_cli.completion.candidates import complete_chat_or_key, complete_session
from erllama_cli.completion.shells import answer
from erllama_cli.completion.words import continued, quoted, typed_words, unquoted
from erllama_daemon.directories import user_directories
from erllama_daemon.messages import Adapter, Message
from erllama_daemon.sessions.store import Sessions

NAMES = {
    "my build": "my",
    "the build: why": "the\\ build:",
    'it\'s "so" $HOME *': "it",
    "🦙 llama": "🦙",
    "fork:two": "fork:t",
    "fork:one": "fork:o",
}
"""Each with what has to be typed to have it completed."""

TYPED = {
    "erllama ch": "<chat>",
    "erllama daemon stat": "<daemon><status>",
    "erllama chat --cont": "<chat><--continue>",
    "erllama run --flash-attention au": "<run><--flash-attention><auto>",
    "erllama run --flash-attention=au": "<run><--flash-attention=auto>",
    "erllama run llama3.2:3": "<run><llama3.2:3b>",
    'erllama run "llama3.2:1': "<run><llama3.2:1b>",
    "erllama cache evict --model qwen3:": "<cache><evict><--model><qwen3:4b>",
    "erllama run someone/w": "<run><someone/words-GGUF:Q4_K_M>",
    "erllama chat --session my": "<chat><--session><my build>",
    "erllama cache ls --session=my": "<cache><ls><--session=my build>",
    'erllama sessions rm "my': "<sessions><rm><my build>",
    "erllama sessions rm 'it": '<sessions><rm><it\'s "so" $HOME *>',
    'erllama cache ls --session "the build:': "<cache><ls><--session><the build: why>",
    "X=1 erllama sessions fork fork:t": "<sessions><fork><fork:two>",
    "true; erllama sessions export my": "<sessions><export><my build>",
    # Where nothing is known, files are.
    "erllama sessions import my": "<sessions><import><my saved.json>",
    "erllama run demo --grammar ./my": "<run><demo><--grammar><./my saved.json>",
}
"""What is typed before the Tab key, and what the command then gets."""


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shell]:
    opened = Shell(request.param, tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def kept(user_home: Path) -> None:
    stores = Stores(user_home)
    for model in ("llama3.2/3b", "llama3.2/1b", "qwen3/4b"):
        stores.ollama(model)
    stores.hugging_face("someone/words-GGUF", "words-Q4_K_M.gguf")
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
def test_a_real_shell_completes_so_that_names_arrive_as_they_are(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "my saved.json").touch()
    for name, begun in NAMES.items():
        assert shell.arguments(f"erllama sessions show {begun}") == f"<sessions><show><{name}>"
    for typed, arguments in TYPED.items():
        assert shell.arguments(typed) == arguments
    assert not user_directories().socket.exists()


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("erllama c", {"cache", "chat", "config"}),
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


def test_where_all_of_a_key_is_needed_all_of_it_is_completed() -> None:
    home = furnish()
    key = home.llamas[-1].key.hex()
    for line, completed in (("run demo --parent", key), ("cache evict --key", key[:12])):
        (found,) = asked("fish", f"erllama {line} {key[:4]}")
        assert found.partition("\t")[0] == completed


@pytest.fixture
def attached(fake: FakeDaemon) -> None:
    adapters = [Adapter("ab" * 32, "/a/pirate.gguf", 1.0), Adapter("cd" * 32, "/a/poet.gguf", 0.5)]
    fake.loaded = [msgspec.structs.replace(model_status(), adapters=adapters), model_status("/m/other.gguf")]


@pytest.mark.usefixtures("attached")
@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("erllama adapter unload demo ", ["abababababab\t/a/pirate.gguf", "cdcdcdcdcdcd\t/a/poet.gguf"]),
        ("erllama adapter scale demo c", ["cdcdcdcdcdcd\t/a/poet.gguf"]),
        ("erllama adapter unload /m/other.gguf ", []),
    ],
)
def test_the_adapters_of_a_model_are_those_that_a_daemon_has_attached(
    monkeypatch: pytest.MonkeyPatch, line: str, completed: list[str]
) -> None:
    monkeypatch.setattr("erllama_cli.completion.candidates._PATIENCE_S", 30.0)
    assert answer(get_command(new_app()), typed_words(line)).splitlines() == completed


@pytest.mark.usefixtures("user_home")
def test_no_daemon_is_started_or_waited_for_to_complete_an_adapter() -> None:
    app, line, path = get_command(new_app()), typed_words("erllama adapter unload demo "), user_directories().socket
    assert answer(app, line) == ""
    assert not path.exists()
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        assert answer(app, line) == ""


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
