"""erllama under measurement: a daemon with folders of its own, and its answers with the time of each event."""

from __future__ import annotations

import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from erllama_cli.client import Client
from erllama_cli.launcher import running_daemon
from erllama_daemon.directories import user_directories
from erllama_daemon.messages import (
    CompleteRequest,
    Done,
    Loaded,
    ModelOptions,
    ModelRequest,
    Prefilling,
    Sampling,
    Stats,
    Token,
    TokenizeRequest,
)

MODEL = "demo"
XDG = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME")
COMMAND = (sys.executable, "-m", "erllama_cli")


@dataclass(slots=True)
class Answer:
    """When the events of one answer came, in seconds of the performance counter."""

    prefilling: list[float] = field(default_factory=list)
    text: list[float] = field(default_factory=list)
    stats: Stats | None = None

    @property
    def done(self) -> Stats:
        """The stats of a finished answer."""
        assert self.stats is not None
        return self.stats

    @property
    def client_rate(self) -> float:
        """Tokens a second from the first text to the last. An end token has no text."""
        tokens = self.done.completion_tokens - (self.done.finish_reason == "stop")
        return (tokens - 1) / (self.text[-1] - self.text[0])

    @property
    def worker_rate(self) -> float:
        """Tokens a second by `generation_ms`, which includes the decode of the last token and the last save."""
        return 1000 * self.done.completion_tokens / self.done.generation_ms

    @property
    def prefill_rate(self) -> float:
        """Prompt tokens a second."""
        return 1000 * self.done.prompt_tokens / self.done.prefill_ms

    @property
    def slowest_block(self) -> float:
        """The longest time from the start of a block of the prompt to the next one's, or to the first text."""
        return max(end - start for start, end in itertools.pairwise([*self.prefilling, self.text[0]]))


@dataclass(frozen=True, slots=True)
class OwnDaemon:
    """A running daemon that has loaded the model."""

    client: Client
    model_path: str
    context_size: int

    def tokenize(self, text: str) -> list[int]:
        """The tokens of a prompt."""
        return self.client.tokenize(TokenizeRequest(model=MODEL, text=text, first=True)).tokens

    def ask(
        self,
        prompt: Sequence[int],
        tokens: int,
        banned: Sequence[int] = (),
        on_text: Callable[[Answer], None] = lambda _answer: None,
    ) -> Answer:
        """One greedy answer, read as the command line reads it. `on_text` is called after each text."""
        sampling = Sampling(temperature=0.0, logit_bias=dict.fromkeys(banned, -100.0))
        answer = Answer()
        request = CompleteRequest(model=MODEL, tokens=list(prompt), max_tokens=tokens, sampling=sampling)
        for event in self.client.complete(request):
            match event:
                case Prefilling():
                    answer.prefilling.append(time.perf_counter())
                case Token():
                    answer.text.append(time.perf_counter())
                    on_text(answer)
                case Done(stats):
                    answer.stats = stats
        return answer

    def together(self, prompts: Sequence[Sequence[int]], tokens: int, banned: Sequence[int]) -> float:
        """Generated tokens a second of all clients, from the first request to the last answer."""
        with ThreadPoolExecutor(len(prompts)) as clients:
            started = time.perf_counter()
            answers = list(clients.map(lambda prompt: self.ask(prompt, tokens, banned), prompts))
            return sum(answer.done.completion_tokens for answer in answers) / (time.perf_counter() - started)

    def longest_pause(
        self, prompt: Sequence[int], tokens: int, banned: Sequence[int], beside: Sequence[int]
    ) -> tuple[float, float]:
        """The longest pause in an answer while another prompt is read beside it, and the longest two ticks, in seconds.

        From the start of one block of that prompt to the start of the next, both have had a tick.
        """
        with ThreadPoolExecutor(1) as other:
            asked: list[float] = []
            neighbour = []

            def start_neighbour(answer: Answer) -> None:
                if not asked and len(answer.text) >= 8:
                    asked.append(time.perf_counter())
                    neighbour.append(other.submit(self.ask, beside, 1))

            texts = self.ask(prompt, tokens, banned, start_neighbour).text
            other_answer = neighbour[0].result()
        read = other_answer.text[0]
        assert texts[-1] > read, "the answer ended before the prompt beside it was read"
        pauses = (end - start for start, end in itertools.pairwise(texts) if asked[0] < end and start < read)
        return max(pauses), other_answer.slowest_block


def move_into(home: Path) -> None:
    """Have this process and all that it starts keep everything below `home`, which a socket's path bounds in length."""
    for name in XDG:
        folder = home / name.split("_")[1].lower()
        folder.mkdir(mode=0o700, exist_ok=True)
        os.environ[name] = str(folder)


def stop_daemon() -> None:
    """End the daemon, if there is one, once it has saved everything."""
    subprocess.run([*COMMAND, "daemon", "stop", "--quiet"], check=True)


@contextmanager
def own_daemon(options: ModelOptions | None = None) -> Iterator[OwnDaemon]:
    """A daemon in a temporary folder, with an empty cache, stopped at the end. It has answered once."""
    with tempfile.TemporaryDirectory(prefix="erl-") as home:
        move_into(Path(home))
        client = running_daemon(user_directories())
        try:
            *_, last = client.load(ModelRequest(model=MODEL, options=options or ModelOptions()))
            assert isinstance(last, Loaded)
            daemon = OwnDaemon(client, last.status.path, last.status.context_size)
            daemon.ask(daemon.tokenize("Hello."), 8)
            yield daemon
        finally:
            stop_daemon()


def commands_seconds(processes: int) -> float:
    """How long eight commands take, so many of them at once, with an empty cache and the model loaded."""
    xargs = shutil.which("xargs")
    assert xargs is not None, "there is no xargs"
    with own_daemon():
        started = time.perf_counter()
        subprocess.run(
            [xargs, "-P", str(processes), "-I{}", *COMMAND, *("run", MODEL, "Write about {}", "-n", "64", "-t", "0")],
            input="\n".join("abcdefgh"),
            text=True,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return time.perf_counter() - started


def median_rate(answers: Sequence[Answer], rate: Callable[[Answer], float]) -> float:
    """The median of one rate of several answers."""
    return statistics.median(rate(answer) for answer in answers)
