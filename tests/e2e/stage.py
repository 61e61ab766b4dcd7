"""A user's home in which every command has something to work on: one daemon, conversations, a cache, and files."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cli.made_up_hub import MadeUpHub
from conftest import STORES, XDG, end_processes, kill_processes
from tiny_adapters import write_strange_adapter
from typer.testing import CliRunner, Result

from erllama_cache.tending.survey import survey
from erllama_cli.client import Client
from erllama_cli.command import new_app
from erllama_cli.launcher import running_daemon
from erllama_daemon.catalog.find import find_model
from erllama_daemon.directories import user_directories
from erllama_daemon.messages import CompleteRequest, Message, Sampling
from erllama_daemon.sessions.chats import read_chats

ROOT = Path(__file__).parent.parent.parent
QUESTIONS = ("My name is Ada.", "Why did the build break?", "What is a llama?", "And an alpaca?", "Who am I?")
SCHEMA = '{"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}'
TOOLS = '[{"type": "function", "function": {"name": "clock", "description": "Tells the time.", "parameters": {}}}]'
MESSAGES = '{"messages": [{"role": "user", "content": "Hum."}, {"role": "assistant", "content": "Mm."}]}'
TEXTS = {
    "question.txt": "Why do llamas hum?\n",
    "log.txt": "error: no such wall\n",
    "letter.txt": "Dear llama, how are you?\n",
    "style.md": "Write short sentences.\n",
    "questions.jsonl": '"Who hums?"\n"Why?"\n',
    "essay.txt": "The llama hums.\n",
    "report.txt": "On Monday the llama crossed the river. On Tuesday it came back. It hummed all the way home.\n",
    "words.txt": "llama\nalpaca\n",
    "person.json": SCHEMA,
    "tools.json": TOOLS,
    "messages.json": MESSAGES,
}
STUBS = {
    "erllama": f'exec {sys.executable} -m erllama_cli "$@"',
    # No service of the user who runs the tests is touched.
    "systemctl": "exit 1",
    "launchctl": "exit 1",
    # Another machine: the same model, other folders.
    "ssh": 'shift; export XDG_DATA_HOME="$HOME/there/data" XDG_CACHE_HOME="$HOME/there/cache"; exec "$@"',
}
"""Programs that the examples call."""

GIT = shutil.which("git") or "git"
ANSWERING = re.compile(r"\berllama (run|chat)\b")
SHORT = r"erllama \1 -n 2"
"""An answer of two tokens shows as much of a command as a long one."""


@dataclass(frozen=True)
class Done:
    """What a command did, wherever it ran."""

    code: int
    stdout: str
    stderr: str


class Stage:
    """The home, and the words in the examples that stand for what is in it."""

    def __init__(self, home: Path, hub: MadeUpHub) -> None:
        self.home = home
        self.hub = hub
        self.folder = home / "work"
        self.placeholders: dict[str, str] = {}
        self._kept: dict[str, int | None] = {}
        self._blocks: set[bytes] = set()

    def run(self, *words: str, stdin: str = "") -> Done:
        """A command in this process."""
        done: Result = CliRunner().invoke(new_app(), words, input=stdin, prog_name="erllama")
        return Done(done.exit_code, done.stdout, done.stderr)

    def shell(self, line: str, stdin: str = "") -> Done:
        """A line in a shell, as the help prints it, but for what stands for something, and for long answers."""
        script = f"set -o pipefail\n{ANSWERING.sub(SHORT, self.replaced(line))}\n"
        done = subprocess.run(
            ["/bin/bash", "-c", script], input=stdin, text=True, capture_output=True, timeout=100, check=False
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """A command in a process of its own, which goes on meanwhile."""
        program = [sys.executable, "-m", "erllama_cli", *words]
        return subprocess.Popen(
            program, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )

    def replaced(self, line: str) -> str:
        """A line with what is here in place of what only stands for it."""
        for word, meant in self.placeholders.items():
            line = re.sub(rf"(?<![\w-]){word}\b", meant, line)
        return line

    def build(self) -> None:
        """Make it all."""
        self._write_files()
        self._converse()
        build, beside = self._chat("build"), self._block_beside_chats()
        archive, written = str(self.folder / "llamas.tar"), str(self.folder / "build.json")
        self._succeed("cache", "export", "build", "another way", beside, "-o", archive)
        self._succeed("sessions", "export", "build", "-o", written)
        shutil.copy(archive, self.home / "kept.tar")
        shutil.copy(written, self.folder / "conversations.json")
        pirate = self._succeed("adapter", "load", "demo", "pirate.gguf", "--json")["adapters"][0]["handle"]
        self.placeholders |= {"0f3a": build, "3f2a": build, "9b04c1": beside, "PIRATE": pirate}
        self._kept = self._conversations()
        # What is not in the archive would never be there again.
        self._succeed("cache", "clear")
        self._succeed("cache", "import", archive)
        self._blocks = set(survey(user_directories().cache).rows)

    def set(self) -> None:
        """Have everything as it was, whatever commands did to it since."""
        user_directories().config_file.unlink(missing_ok=True)
        for output in ("build.md", "vectors.ndjson"):
            (self.folder / output).unlink(missing_ok=True)
        if self._conversations() != self._kept or not self._blocks <= set(survey(user_directories().cache).rows):
            client = running_daemon(user_directories())
            for session in client.sessions():
                client.delete_session(client.session(session.id))
            self._succeed("cache", "import", str(self.home / "kept.tar"), "--json")

    def _conversations(self) -> dict[str, int | None]:
        return {chat.name or chat.id: len(chat.all_keys) for chat in read_chats(user_directories().sessions)}

    def _chat(self, name: str) -> str:
        return next(chat.id for chat in read_chats(user_directories().sessions) if chat.name == name)

    def _block_beside_chats(self) -> str:
        """The last block of a chain that no conversation has."""
        chains = self._succeed("cache", "ls", "--json")["chains"]
        return str(next(chain["key"] for chain in chains if chain["chat"] is None))

    def _write_files(self) -> None:
        for name, text in TEXTS.items():
            (self.folder / name).write_text(text)
        for name in ("LICENSE", "README.md"):
            (self.folder / name).write_text((ROOT / name).read_text()[:300])
        demo = find_model("demo")
        (self.home / "models").mkdir()
        for link in (self.folder / "model.gguf", self.folder / "moved.gguf", self.home / "models" / "llama.gguf"):
            link.symlink_to(demo)
        for name in ("pirate.gguf", "a.gguf"):
            metadata = {"general.name": name}
            write_strange_adapter(self.folder / name, metadata=metadata, a=(1, 576), b=(576, 1))
        programs = self.home / "bin"
        programs.mkdir()
        for name, script in STUBS.items():
            (programs / name).write_text(f"#!/bin/sh\n{script}\n")
            (programs / name).chmod(0o755)
        for words in (["init", "-q"], ["add", "README.md"]):
            subprocess.run([GIT, *words], cwd=self.folder, check=True)
        with (self.folder / "README.md").open("a") as readme:
            readme.write("One more line.\n")

    def _converse(self) -> None:
        short = ("-n", "2", "-t", "0", "--json")
        for question in QUESTIONS[:3]:
            answer = self._succeed("run", "demo", "--session", "build", *short, question)
        (self.folder / "answer.json").write_text(json.dumps(answer))
        client = Client(user_directories())
        session = client.session("build")
        second, third = client.turns(session)[1:3]
        aside = CompleteRequest(
            session=session.id,
            after=second.id,
            seen=third.id,
            messages=[Message("user", ["What is wool?"])],
            max_tokens=2,
            sampling=Sampling(temperature=0),
        )
        list(client.complete(aside))
        for question in QUESTIONS[3:]:
            self._succeed("run", "demo", "--session", "build", *short, question)
        self._succeed("sessions", "fork", "build", "another way", "--json")
        self._succeed("run", "demo", *short, "Whose is this?")

    def _succeed(self, *words: str) -> Any:
        done = self.run(*words)
        assert done.code == 0, (words, done)
        return json.loads(done.stdout) if "--json" in words else None


@contextmanager
def stage() -> Iterator[Stage]:
    """A home in a short path, gone afterwards with all that runs in it."""
    home = Path(tempfile.mkdtemp(prefix="erl-", dir="/tmp"))
    (home / "work").mkdir()
    try:
        with MadeUpHub({"org/tiny": {"tiny-F32.gguf": b"GGUF"}}) as hub:
            built = Stage(home, hub)
            try:
                with pytest.MonkeyPatch.context() as patch:
                    live_in(built, patch)
                    built.build()
                yield built
            finally:
                with pytest.MonkeyPatch.context() as patch:
                    live_in(built, patch)
                    left = end_processes(home)
    finally:
        kill_processes(home)
        shutil.rmtree(home, ignore_errors=True)
    assert not left, f"still running after a daemon stop: {left}"


def live_in(house: Stage, patch: pytest.MonkeyPatch) -> None:
    """Whatever runs from now on runs in this home."""
    for name in XDG:
        folder = house.home / name[4:-5].lower()
        folder.mkdir(mode=0o700, exist_ok=True)
        patch.setenv(name, str(folder))
    patch.setenv("HOME", str(house.home))
    for name in STORES:
        patch.delenv(name, raising=False)
    patch.setenv("OLLAMA_MODELS", str(house.home / "ollama"))
    patch.setenv("HF_ENDPOINT", house.hub.url)
    patch.setenv("PATH", f"{house.home / 'bin'}:{os.environ['PATH']}")
    patch.setenv("COLUMNS", "100")
    patch.setenv("OMP_WAIT_POLICY", "passive")
    patch.chdir(house.folder)
