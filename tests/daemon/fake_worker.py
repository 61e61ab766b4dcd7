"""A worker without a model: the model file is JSON that says how to behave, prompts say what to answer.

The model file is a `Script`. Each frame that comes in is written, one JSON object a line, to the file beside it that
ends in `.seen`. A prompt is one of `PROMPTS`; anything else is answered with itself.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from erllama_cache.keys import pack_tokens, unpack_tokens
from erllama_daemon import frames
from erllama_daemon.errors import ContextExceeded
from erllama_daemon.messages import Adapter, Explanation, Failure, Message, Recomputed, Stats, ToolCall

PROMPTS = (
    "deaf",
    "die",
    "die once",
    "hang",
    "say then hang",
    "queue",
    "queue then hang",
    "think",
    "think silently",
    "busy",
    "call",
)
FINGERPRINT = "a" * 64


class Script(msgspec.Struct, kw_only=True):
    """How a worker loads, ends and answers. A gate is a file that must appear before it goes on.

    It prints `prints` before it loads, and never says a word to the prompt "deaf", not even when that is cancelled.
    `answers` has other texts answered to some prompts. With `counts_words`, a prompt has one token a word, and fits if
    it has fewer than the context; else every prompt has three and fits.
    """

    load: Literal["ready", "fail", "die"] = "ready"
    load_gate: str | None = None
    stop_gate: str | None = None
    context_size: int = 4096
    ram_bytes: int = 2
    answers: dict[str, str] = {}
    counts_words: bool = False
    prints: str = ""


def wait_for(gate: str | None) -> None:
    while gate is not None and not Path(gate).exists():
        time.sleep(0.001)


def stats(text: str, *, cancelled: bool = False, thinking: str | None = None) -> Stats:
    return Stats(
        text=text,
        finish_reason="cancelled" if cancelled else "stop",
        cancelled=cancelled,
        stop_sequence=None,
        cache_hit_kind="cold",
        cached_tokens=0,
        prompt_tokens=3,
        completion_tokens=1,
        load_ms=0.0,
        queue_ms=0.0,
        restore_ms=0.0,
        prefill_ms=0.0,
        ttft_ms=0.0,
        generation_ms=0.0,
        finish_key="f" * 64,
        model="fake",
        seed=1,
        saved="published",
        thinking=thinking,
    )


def explanation(tokens: int) -> Explanation:
    return Explanation(
        model="as the worker calls it",
        root="e" * 64,
        prompt_tokens=tokens,
        reused_tokens=0,
        live_tokens=0,
        ram_tokens=0,
        disk_tokens=0,
        blocks=[],
    )


def recomputed(seed: int) -> Recomputed:
    return Recomputed(
        model="as the worker calls it",
        seed=seed,
        checked=1,
        wrong=[],
        not_drawn=0,
        together=0,
        other_roots=0,
        unreachable=0,
        gone=0,
    )


class FakeWorker:
    def __init__(self) -> None:
        self._output = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        self._adapters: list[Adapter] = []
        self._hanging: set[int] = set()

    def main(self) -> None:
        body = frames.read_body(sys.stdin.buffer)
        assert body is not None
        configuration = frames.to_worker_decoder.decode(body)
        assert isinstance(configuration, frames.Configure)
        path = Path(configuration.path)
        self._seen = path.with_suffix(".seen")
        self._note(configuration)
        self._ram_quota = configuration.ram_bytes
        self._script = msgspec.json.decode(path.read_bytes(), type=Script)
        self._adapters = [self._adapter(each.path, each.scale) for each in configuration.adapters]
        sys.stderr.write(self._script.prints)
        if self._load(configuration):
            while (body := frames.read_body(sys.stdin.buffer)) is not None:
                self._handle(frames.to_worker_decoder.decode(body))

    def _load(self, configuration: frames.Configure) -> bool:
        self._send(frames.LoadProgress(0.5))
        wait_for(self._script.load_gate)
        if self._script.load == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self._script.load == "fail":
            self._send(frames.LoadFailed(Failure("model_unreadable", "It is broken.", None, 3)))
            return False
        self._context_size = configuration.context_size or self._script.context_size
        ready = frames.Ready(
            backend="fake",
            context_size=self._context_size,
            quant_type="F16",
            quant_bits=16.0,
            fingerprint=FINGERPRINT,
            parallel=configuration.parallel,
        )
        self._send(ready)
        return True

    def _handle(self, frame: frames.ToWorker) -> None:
        self._note(frame)
        match frame:
            case frames.Generate():
                self._generate(frame)
            case frames.Cancel() if frame.id in self._hanging:
                self._hanging.remove(frame.id)
                self._finish(frame.id, stats("", cancelled=True), answered=False)
            case frames.Shutdown():
                wait_for(self._script.stop_gate)
                sys.exit(0)
            case frames.RamQuota():
                self._ram_quota = frame.bytes
            case frames.Cancel() | frames.Configure() | frames.DiskQuota():
                pass
            case _:
                self._call(frame)

    def _generate(self, frame: frames.Generate) -> None:
        prompt = frame.messages[-1].text if frame.messages else "tokens"
        prompt = self._script.answers.get(prompt, prompt)
        tokens = self._tokens(frame.history, frame.messages)
        if len(tokens) >= self._context_size:
            self._send(
                frames.Failed(frame.id, Failure.of(ContextExceeded(tokens=len(tokens), limit=self._context_size)))
            )
            return
        self._die(prompt)
        if prompt == "deaf":
            return
        if prompt == "busy":
            self._send(frames.Failed(frame.id, Failure("busy", "Too many.", None, 1)))
            return
        if prompt.startswith("queue"):
            self._send(frames.Waiting(frame.id, 2))
        if prompt == "queue":
            self._hanging.add(frame.id)
            return
        self._send(frames.Prefilled(id=frame.id, done=3, total=3, cached=0))
        if prompt == "say then hang":
            self._send(frames.Text(frame.id, "say"))
        if prompt.endswith("hang"):
            self._hanging.add(frame.id)
            return
        if prompt == "call":
            call = ToolCall("c1", "clock", "{}")
            self._send(frames.Called(frame.id, call))
            self._finish(frame.id, msgspec.structs.replace(stats(""), tool_calls=[call]), answered=True)
            return
        if prompt.startswith("think"):
            self._send(frames.Text(frame.id, "hm", thinking=True))
        self._send(frames.Text(frame.id, prompt))
        told = stats(
            "" if prompt == "think silently" else prompt, thinking="hm" if prompt.startswith("think") else None
        )
        self._finish(frame.id, told, answered=True, tokens=[*tokens, *self._words(prompt)])

    def _die(self, prompt: str) -> None:
        """Dies of `die` each time, of `die once` at the first."""
        died = self._seen.with_suffix(".died")
        if prompt == "die" or (prompt == "die once" and not died.exists()):
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def _finish(self, request_id: int, stats: Stats, *, answered: bool, tokens: Sequence[int] = (1, 2, 3)) -> None:
        packed = pack_tokens(tokens)
        key = hashlib.sha256(packed).digest() if self._script.counts_words else b"f" * 32
        finished = frames.Finished(
            id=request_id,
            stats=msgspec.structs.replace(stats, finish_key=key.hex()),
            tokens=packed,
            finish_key=key,
            answered=answered,
        )
        self._send(finished)

    def _tokens(self, history: frames.History | None, messages: Sequence[Message]) -> list[int]:
        if not self._script.counts_words:
            return [1, 2, 3]
        before = unpack_tokens(history.tokens) if history else []
        return [*before, *(word for message in messages for word in self._words(message.text))]

    def _words(self, text: str) -> list[int]:
        return [zlib.crc32(word.encode()) for word in text.split()] if self._script.counts_words else []

    def _call(self, frame: frames.Call) -> None:
        match frame:
            case frames.AskStatus():
                self._send(self._status(frame.id))
            case frames.Tokenize():
                self._die(frame.text)
                tokens = list(frame.text.encode())
                self._send(frames.Tokens(frame.id, pack_tokens(tokens), [chr(token) for token in tokens]))
            case frames.Detokenize():
                self._send(frames.Detokenized(frame.id, frame.tokens.hex()))
            case frames.Render():
                text = "".join(message.text for message in frame.messages)
                tokens = self._tokens(None, frame.messages) if self._script.counts_words else [7]
                self._send(frames.Rendered(frame.id, text, pack_tokens(tokens), [1]))
            case frames.Embed() if frame.texts == ["hang"]:
                pass
            case frames.Embed():
                self._send(frames.Embedded(frame.id, [b"\0\0\x80\x3f"] * len(frame.texts), 5, "mean"))
            case frames.Explain():
                told = frames.Explained(frame.id, explanation(len(frame.history.tokens) if frame.history else 0))
                self._send(told)
            case frames.Recompute() if frame.count == 999:
                self._send(frames.Failed(frame.id, Failure("decode_failed", "It is broken.", None, 1)))
            case frames.Recompute():
                self._send(frames.Rechecked(frame.id, 0, frame.count))
                if frame.count < 100:
                    self._send(frames.RecomputeEnded(frame.id, recomputed(frame.seed)))
            case frames.EvictLive():
                self._send(frames.LiveEvicted(frame.id, 2, 1))
            case frames.ForgetScope():
                self._send(frames.ScopeForgotten(frame.id))
            case frames.Forget():
                self._send(frames.Forgotten(frame.id, 1, 2))
            case _:
                self._change_adapters(frame)
                self._send(frames.Adapters(frame.id, self._adapters, "b" * 64))

    def _change_adapters(self, frame: frames.Call) -> None:
        match frame:
            case frames.LoadAdapter():
                self._adapters = [*self._adapters, self._adapter(frame.path, frame.scale)]
            case frames.UnloadAdapter():
                self._adapters = [each for each in self._adapters if each.path != frame.adapter]
            case frames.ScaleAdapter():
                self._adapters = [self._adapter(each.path, frame.scale) for each in self._adapters]

    def _adapter(self, path: str, scale: float) -> Adapter:
        return Adapter(path.strip("/").ljust(64, "0"), path, scale)

    def _status(self, request_id: int) -> frames.Status:
        return frames.Status(
            id=request_id,
            status="generating" if self._hanging else "idle",
            queue_depth=0,
            live_sequences=1,
            ram_rows=1,
            ram_bytes=min(self._script.ram_bytes, self._ram_quota),
            ram_quota_bytes=self._ram_quota,
            running=len(self._hanging),
            fingerprint="e" * 64,
            adapters=self._adapters,
        )

    def _send(self, frame: frames.FromWorker) -> None:
        self._output.write(frames.encode(frame))
        self._output.flush()

    def _note(self, frame: frames.ToWorker) -> None:
        with self._seen.open("ab") as file:
            file.write(msgspec.json.encode(frame) + b"\n")


if __name__ == "__main__":
    FakeWorker().main()
