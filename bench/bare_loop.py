"""llama.cpp without anything around it: what the model, the build and the machine can do at best.

A process of its own, for idle threads of another llama.cpp would disturb: it reads a `BareJob` from stdin, prints
`BareRates`, and ends. The settings are those that erllama loads with. `rates` starts it and waits for it.
"""

from __future__ import annotations

import ctypes
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

PREFILL_BATCH = 512


class BareJob(msgspec.Struct, frozen=True):
    """Prompts as tokens, and how many tokens to generate after each, alone and in company."""

    model: str
    threads: int
    context_size: int
    alone: list[list[int]]
    alone_tokens: int
    together: list[list[int]]
    together_tokens: int
    long: list[int]


class BareRates(msgspec.Struct, frozen=True):
    """Tokens a second: decoding alone, all together with their prompts, and prefill."""

    alone: float
    together: float
    prefill: float


def rates(job: BareJob) -> BareRates:
    """The rates as a process of its own measures them."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__))], input=msgspec.json.encode(job), stdout=subprocess.PIPE, check=True
    )
    return msgspec.json.decode(done.stdout, type=BareRates)


class BareLoop:
    """A model, and the three loops over it."""

    def __init__(self, job: BareJob) -> None:
        import llama_cpp

        self._llama = llama_cpp
        self._job = job
        self._log = llama_cpp.llama_log_callback(lambda _level, _text, _data: None)
        llama_cpp.llama_log_set(self._log, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = -1
        params.use_extra_bufts = b"AMX_INT8 = 1" not in llama_cpp.llama_print_system_info()
        self._model = llama_cpp.llama_model_load_from_file(job.model.encode(), params)
        self._sampler = llama_cpp.llama_sampler_init_greedy()

    def alone(self, prompt: Sequence[int]) -> float:
        """Tokens a second from the first generated token to the last."""
        llama, count = self._llama, self._job.alone_tokens
        with self._context(batch=256, sequences=1) as (context, batch):
            self._decode(context, batch, [(0, position, token) for position, token in enumerate(prompt)])
            token = llama.llama_sampler_sample(self._sampler, context, -1)
            started = time.perf_counter()
            for position in range(len(prompt), len(prompt) + count - 1):
                self._decode(context, batch, [(0, position, token)])
                token = llama.llama_sampler_sample(self._sampler, context, -1)
            return (count - 1) / (time.perf_counter() - started)

    def together(self, prompts: Sequence[Sequence[int]]) -> float:
        """Generated tokens a second of all sequences, the time for their prompts included."""
        llama, count = self._llama, self._job.together_tokens
        with self._context(batch=256, sequences=len(prompts)) as (context, batch):
            started, last = time.perf_counter(), []
            for number, prompt in enumerate(prompts):
                self._decode(context, batch, [(number, position, token) for position, token in enumerate(prompt)])
                last.append(llama.llama_sampler_sample(self._sampler, context, -1))
            for step in range(count - 1):
                rows = [(number, len(prompts[number]) + step, token) for number, token in enumerate(last)]
                self._decode(context, batch, rows, every_row=True)
                last = [llama.llama_sampler_sample(self._sampler, context, row) for row in range(len(prompts))]
            return len(prompts) * count / (time.perf_counter() - started)

    def prefill(self, prompt: Sequence[int]) -> float:
        """Prompt tokens a second."""
        with self._context(batch=PREFILL_BATCH, sequences=1) as (context, batch):
            started = time.perf_counter()
            for start in range(0, len(prompt), PREFILL_BATCH):
                part = prompt[start : start + PREFILL_BATCH]
                self._decode(context, batch, [(0, start + offset, token) for offset, token in enumerate(part)])
            return len(prompt) / (time.perf_counter() - started)

    def _decode(
        self,
        context: ctypes.c_void_p,
        batch: ctypes.Structure,
        rows: Sequence[tuple[int, int, int]],
        *,
        every_row: bool = False,
    ) -> None:
        """One `llama_decode` of (sequence, position, token) rows, with logits for the last one or for every one."""
        for row, (sequence, position, token) in enumerate(rows):
            batch.token[row], batch.pos[row], batch.logits[row] = token, position, every_row
            batch.n_seq_id[row], batch.seq_id[row][0] = 1, sequence
        batch.logits[len(rows) - 1] = True
        batch.n_tokens = len(rows)
        if self._llama.llama_decode(context, batch) != 0:
            raise RuntimeError("llama_decode failed")
        self._llama.llama_synchronize(context)

    @contextmanager
    def _context(self, *, batch: int, sequences: int) -> Iterator[tuple[ctypes.c_void_p, ctypes.Structure]]:
        llama = self._llama
        params = llama.llama_context_default_params()
        params.n_ctx, params.n_seq_max = self._job.context_size, sequences
        params.n_batch = params.n_ubatch = batch
        params.n_threads = params.n_threads_batch = self._job.threads
        params.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_AUTO
        params.kv_unified = params.swa_full = params.no_perf = True
        context, native_batch = llama.llama_init_from_model(self._model, params), llama.llama_batch_init(batch, 0, 1)
        try:
            yield context, native_batch
        finally:
            llama.llama_batch_free(native_batch)
            llama.llama_free(context)


def main() -> None:
    """Does the job on stdin, after one round of each loop to warm up."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=BareJob)
    loop = BareLoop(job)
    loop.prefill(job.long[:PREFILL_BATCH])
    found = BareRates(
        alone=statistics.median(loop.alone(prompt) for prompt in job.alone),
        together=loop.together(job.together),
        prefill=loop.prefill(job.long),
    )
    sys.stdout.buffer.write(msgspec.json.encode(found))


if __name__ == "__main__":
    main()
