"""llama.cpp's own server, set up as its documentation advises for many users, and asked over HTTP.

It comes from the `xllamacpp` wheel, or is a `llama-server` that the user has built. As a program, this file runs the
wheel's server until its stdin ends.
"""

from __future__ import annotations

import http.client
import importlib
import importlib.util
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

HOST = "127.0.0.1"
SLOTS = 8
START_TIMEOUT_S = 60.0


class PeerSetup(msgspec.Struct, frozen=True):
    """What to serve and how. `context_size` is for one slot; `binary` is a `llama-server`, None for the wheel's."""

    model: str
    threads: int
    context_size: int
    is_unified: bool = False
    binary: str | None = None

    @property
    def cells(self) -> int:
        """The size of the whole KV buffer."""
        return self.context_size * SLOTS


class Timings(msgspec.Struct, frozen=True):
    """What the server says of one answer."""

    prompt_n: int
    prompt_ms: float
    predicted_n: int


class Completion(msgspec.Struct, frozen=True):
    """The part of an answer that counts here."""

    timings: Timings


def is_installed() -> bool:
    """Whether the wheel is there."""
    return importlib.util.find_spec("xllamacpp") is not None


@dataclass(frozen=True, slots=True)
class PeerServer:
    """A server that runs, at a port of this machine."""

    port: int

    def prefill(self, prompt: Sequence[int]) -> float:
        """Prompt tokens a second, of a prompt that the server has never seen."""
        timings = self._complete({"prompt": prompt, "n_predict": 1, "cache_prompt": False})
        return 1000 * timings.prompt_n / timings.prompt_ms

    def together(self, prompts: Sequence[Sequence[int]], tokens: int, banned: Sequence[int]) -> float:
        """Generated tokens a second of all clients, from the first request to the last answer."""
        bias = [[token, -100] for token in banned]
        bodies = [{"prompt": prompt, "n_predict": tokens, "logit_bias": bias} for prompt in prompts]
        with ThreadPoolExecutor(len(bodies)) as clients:
            started = time.perf_counter()
            answers = list(clients.map(self._complete, bodies))
            return sum(answer.predicted_n for answer in answers) / (time.perf_counter() - started)

    def is_ready(self) -> bool:
        """Whether the model is loaded."""
        connection = http.client.HTTPConnection(HOST, self.port)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == http.client.OK
        except OSError:
            return False
        finally:
            connection.close()

    def _complete(self, body: dict[str, object]) -> Timings:
        # Its fastest greedy sampler: by default it sorts and draws.
        greedy = {"temperature": 0, "samplers": ["top_k"], "top_k": 1}
        connection = http.client.HTTPConnection(HOST, self.port)
        try:
            connection.request("POST", "/completion", json.dumps(body | greedy), {"Content-Type": "application/json"})
            return msgspec.json.decode(connection.getresponse().read(), type=Completion).timings
        finally:
            connection.close()


@contextmanager
def running_peer(setup: PeerSetup) -> Iterator[PeerServer]:
    """A server, stopped at the end. Raises RuntimeError if it does not start."""
    port = _free_port()
    command = [sys.executable, str(Path(__file__)), msgspec.json.encode(setup).decode(), str(port)]
    if setup.binary is not None:
        command = _binary_command(setup, port)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        server, deadline = PeerServer(port), time.monotonic() + START_TIMEOUT_S
        while not server.is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"llama.cpp's server did not start: {command[0]}")
            time.sleep(0.05)
        yield server
    finally:
        process.terminate()
        process.wait()


def _binary_command(setup: PeerSetup, port: int) -> list[str]:
    threads = str(setup.threads)
    return [
        str(setup.binary),
        *("--model", setup.model, "--host", HOST, "--port", str(port)),
        *("--parallel", str(SLOTS), "--ctx-size", str(setup.cells), "--cont-batching"),
        *("--threads", threads, "--threads-batch", threads, "--flash-attn", "auto", "--cache-ram", "0"),
        "--kv-unified" if setup.is_unified else "--no-kv-unified",
    ]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def main() -> None:
    """Serves with the wheel until stdin ends."""
    xllamacpp: Any = importlib.import_module("xllamacpp")
    setup = msgspec.json.decode(sys.argv[1], type=PeerSetup)
    params = xllamacpp.CommonParams()
    params.model.path = setup.model
    params.hostnames, params.port = [HOST], int(sys.argv[2])
    params.n_ctx, params.n_parallel, params.cont_batching = setup.cells, SLOTS, True
    params.kv_unified, params.cache_ram_mib = setup.is_unified, 0
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_AUTO
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = setup.threads
    server = xllamacpp.Server(params)
    sys.stdin.buffer.read()
    del server


if __name__ == "__main__":
    main()
