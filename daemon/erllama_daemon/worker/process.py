"""The worker process: owns one loaded model. Frames come in on stdin and leave on what was stdout.

One thread reads frames, one prepares requests, one runs the scheduler, one serves calls that need no engine, and one
(the store's) writes the cache. When stdin ends, the daemon is
gone: the worker saves what is live and exits, so no daemon's death leaves a process behind.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from erllama_cache.errors import ErllamaError
from erllama_cache.model.fingerprint import model_fingerprint
from erllama_cache.model.gguf_header import GgufMalformed
from erllama_cache.quotas import default_disk_bytes
from erllama_cache.store import Store
from erllama_daemon.engine.adapters import AdapterShelf
from erllama_daemon.engine.backend import Backend, ComputeFailed, ModelRejected
from erllama_daemon.engine.engine import Engine
from erllama_daemon.engine.explanation import Explainer
from erllama_daemon.engine.parents import Parents
from erllama_daemon.errors import ModelUnreadable
from erllama_daemon.errors.model import NO_GGUF, NOT_WHOLE
from erllama_daemon.frames import (
    Cancel,
    Configure,
    DiskQuota,
    FrameMalformed,
    FromWorker,
    Generate,
    LoadFailed,
    LoadProgress,
    RamQuota,
    Ready,
    Shutdown,
    decode,
    encode,
    read_body,
    to_worker_decoder,
)
from erllama_daemon.log_line import worker_lines
from erllama_daemon.memory import available_bytes, return_freed
from erllama_daemon.messages import Failure
from erllama_daemon.worker.calls import Calls
from erllama_daemon.worker.desk import Desk
from erllama_daemon.worker.embedder import Embedder
from erllama_daemon.worker.preparation import Preparation
from erllama_daemon.worker.recomputer import Recomputer
from erllama_daemon.worker.scheduler import Scheduler

log = logging.getLogger(__name__)

BLOCK_TOKENS = 256
"""The longest block; shorter ones prefill slower, longer ones are reused less."""

_GGUF_MAGIC = b"GGUF"
_CUT_OFF = "corrupted or incomplete"
"""What llama.cpp says of a file that is not all there."""

_PLENTY_OF_MEMORY = 1 << 34
"""What is assumed where the system does not tell."""


class FrameWriter:
    """Sends frames from any thread. A daemon that is gone is not an error here: stdin ends too."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, frame: FromWorker) -> None:
        """Writes one frame whole."""
        data = encode(frame)
        try:
            with self._lock:
                self._stream.write(data)
                self._stream.flush()
        except (BrokenPipeError, ValueError):
            return


class Worker:
    """Serves one model until it is told to stop or the daemon goes away."""

    def __init__(self, configuration: Configure, backend: Backend, fingerprint: bytes, frames: FrameWriter) -> None:
        model, cache = configuration.model, Path(configuration.cache)
        self._configuration = configuration
        self._backend = backend
        self._fingerprint = fingerprint
        self._frames = frames
        self._save_timeout_s = configuration.policy.evict_save_timeout_ms / 1000
        self._store = Store(
            cache,
            ram_bytes=configuration.ram_bytes,
            disk_bytes=_disk_bytes(configuration.cache, configuration.disk_bytes),
            write_bytes_per_day=configuration.write_bytes_per_day,
        )
        self._store.open()
        shelf = AdapterShelf(backend, model, fingerprint, _fingerprint_memo(configuration))
        for adapter in configuration.adapters:
            shelf.attach(adapter.path, adapter.scale)
        engine = Engine(
            backend,
            self._store,
            shelf,
            model=model,
            block_tokens=BLOCK_TOKENS,
            parallel=configuration.parallel,
            policy=configuration.policy,
        )
        self._scheduler = Scheduler(
            engine,
            Preparation(backend, model, fingerprint, self._parents(engine)),
            model,
            frames.send,
            parallel=configuration.parallel,
            queue_limit=configuration.queue_limit,
        )
        self._calls = Calls(
            Desk(backend, BLOCK_TOKENS, fingerprint, self._parents(engine)),
            Embedder(backend, model, self._scheduler, frames.send),
            Explainer(self._store, backend.vocabulary, model, BLOCK_TOKENS, configuration.policy),
            Recomputer(engine, self._scheduler, self._store, model, frames.send),
            engine,
            self._scheduler,
            shelf,
            self._store,
            frames.send,
            flush_s=self._save_timeout_s,
        )

    def serve(self, stdin: BinaryIO) -> int:
        """Reads frames until the stream ends or `Shutdown` comes; returns when everything is saved.

        One that makes no sense ends it as well: after that, nothing can be believed. Gives the process's exit code.
        """
        thread = threading.Thread(target=self._run_scheduler, name="scheduler")
        thread.start()
        facts = self._backend.facts
        self._frames.send(
            Ready(
                backend=facts.name,
                context_size=facts.context_size,
                quant_type=facts.quant_type,
                quant_bits=facts.quant_bits,
                fingerprint=self._fingerprint.hex(),
                parallel=self._configuration.parallel,
            )
        )
        try:
            while (body := read_body(stdin)) is not None and self._handle(body):
                pass
        except FrameMalformed as error:
            log.error("a frame makes no sense: %s", error)
            return 1
        finally:
            self._scheduler.stop()
            thread.join()
            self._calls.close()
            self._store.close(self._save_timeout_s)
        return 0

    def _parents(self, engine: Engine) -> Parents:
        """One for each thread."""
        return Parents(self._store, engine.inspection, self._backend.vocabulary, BLOCK_TOKENS)

    def _run_scheduler(self) -> None:
        try:
            self._scheduler.run()
        except BaseException:
            # Without its engine thread a worker is useless: end it, so that the daemon loads the model anew.
            sys.excepthook(*sys.exc_info())
            os._exit(70)

    def _handle(self, body: bytes) -> bool:
        frame = decode(body, to_worker_decoder)
        match frame:
            case Generate():
                self._scheduler.submit(frame)
            case Cancel():
                self._scheduler.cancel(frame.id)
                self._calls.cancel(frame.id)
            case RamQuota():
                self._limit_ram(frame.bytes)
            case DiskQuota():
                self._store.limit_disk(
                    _disk_bytes(self._configuration.cache, frame.disk_bytes), frame.write_bytes_per_day
                )
            case Shutdown() | Configure():
                return False
            case _:
                self._calls.handle(frame)
        return True

    def _limit_ram(self, ram_bytes: int) -> None:
        is_less = ram_bytes < self._store.ram_bytes
        self._store.ram_bytes = ram_bytes
        if is_less:
            return_freed()


def _disk_bytes(cache: str, disk_bytes: int | None) -> int:
    return default_disk_bytes(Path(cache)) if disk_bytes is None else disk_bytes


def _fingerprint_memo(configuration: Configure) -> Path:
    return Path(configuration.cache) / "fingerprints.sqlite3"


def _load(configuration: Configure, frames: FrameWriter) -> tuple[Backend, bytes]:
    """The backend of a model file, and the file's fingerprint; a file that is no GGUF never reaches native code."""
    path = Path(configuration.path)
    try:
        with path.open("rb") as file:
            magic = file.read(len(_GGUF_MAGIC))
    except OSError as error:
        raise ModelUnreadable(path=path, reason=error.strerror or error) from error
    if magic != _GGUF_MAGIC:
        raise ModelUnreadable(path=path, reason="it is not a GGUF file").with_hint(NO_GGUF)
    from erllama_daemon.llama.backend import LlamaBackend, LlamaOptions

    options = LlamaOptions(
        batch_tokens=BLOCK_TOKENS,
        context_size=configuration.context_size,
        kv_type=configuration.kv_type,
        flash_attention=configuration.flash_attention,
        gpu_layers=configuration.gpu_layers,
        threads=configuration.threads,
        mmap=configuration.mmap,
        free_memory=available_bytes() or _PLENTY_OF_MEMORY,
    )
    try:
        fingerprint = _fingerprint(configuration)
        backend = LlamaBackend(path, options, _progress_sender(frames))
        # A file replaced in between would put one model's state under the other's name.
        if _fingerprint(configuration) != fingerprint:
            raise ModelUnreadable(path=path, reason="it changed while it was loaded")
    except GgufMalformed as error:
        raise ModelUnreadable(path=path, reason=error).with_hint(NOT_WHOLE) from error
    except (ModelRejected, OSError) as error:
        unreadable = ModelUnreadable(path=path, reason=error)
        raise (unreadable.with_hint(NOT_WHOLE) if _CUT_OFF in str(error) else unreadable) from error
    return backend, fingerprint


def _fingerprint(configuration: Configure) -> bytes:
    given = bytes.fromhex(configuration.fingerprint) if configuration.fingerprint is not None else None
    memo = _fingerprint_memo(configuration)
    return model_fingerprint(Path(configuration.path), memo, configuration.fingerprint_mode, given)


def _progress_sender(frames: FrameWriter) -> Callable[[float], None]:
    """Passes progress on, a percent at a time."""
    last = -1

    def send(progress: float) -> None:
        nonlocal last
        if (percent := int(100 * progress)) > last:
            last = percent
            frames.send(LoadProgress(progress))

    return send


def _take_stdout() -> BinaryIO:
    """The pipe to the daemon, moved away from fd 1, which native code prints to and which becomes stderr."""
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return pipe


def _print_log() -> None:
    """Has what this process logs printed, a line an event, as the daemon reads it."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(worker_lines())
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    logging.getLogger("filelock").setLevel(logging.WARNING)
    faulthandler.enable()


def main() -> int:
    """The process: the first frame says what to load."""
    _print_log()
    frames, stdin = FrameWriter(_take_stdout()), sys.stdin.buffer
    # Ctrl-C in the daemon's terminal reaches the whole group; the daemon decides when a worker ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    body = read_body(stdin)
    configuration = decode(body, to_worker_decoder) if body is not None else None
    if not isinstance(configuration, Configure):
        return 1
    try:
        backend, fingerprint = _load(configuration, frames)
        worker = Worker(configuration, backend, fingerprint, frames)
    except ComputeFailed as error:  # its KV buffer
        frames.send(LoadFailed(Failure.of(ModelUnreadable(path=configuration.path, reason=error))))
        return 1
    except ErllamaError as error:
        frames.send(LoadFailed(Failure.of(error)))
        return 1
    return worker.serve(stdin)
