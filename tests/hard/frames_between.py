"""Stands where a worker would: passes frames on between the daemon and a worker, and changes some of them.

`HARD_FRAMES` is its `Plan`. The first frame to the worker, which says where to load from and where to write, stays as
it is.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from random import Random
from typing import IO, Literal

import msgspec
from hard.mutation import mutated_frame

from erllama_daemon import frames

VARIABLE = "HARD_FRAMES"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Which frames are changed: so many of those that go one way. `tally` is a folder with a file for each worker.

    In it is a byte for each frame that was changed.
    """

    worker: list[str]
    way: Literal["to_worker", "from_worker"]
    rate: float
    seed: int
    tally: str


def main() -> int:
    """Passes on until either side ends."""
    plan = msgspec.json.decode(os.environ[VARIABLE], type=Plan)
    own = _own_tally(Path(plan.tally))
    random = Random(f"{plan.seed}-{own.name}")
    worker = subprocess.Popen(plan.worker, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert worker.stdin is not None and worker.stdout is not None
    to_worker = threading.Thread(
        target=_pass_on, args=(sys.stdin.buffer, worker.stdin, plan, "to_worker", random, own), daemon=True
    )
    to_worker.start()
    _pass_on(worker.stdout, sys.stdout.buffer, plan, "from_worker", random, own)
    worker.stdout.close()
    code = worker.wait()
    # The other thread may be waiting for the daemon's next frame.
    os._exit(code if code >= 0 else 128 - code)


def _own_tally(folder: Path) -> Path:
    """A file that no other has, numbered in the order of the workers."""
    number = 0
    while True:
        try:
            (folder / str(number)).touch(exist_ok=False)
        except FileExistsError:
            number += 1
        else:
            return folder / str(number)


def _pass_on(source: IO[bytes], sink: IO[bytes], plan: Plan, way: str, random: Random, own: Path) -> None:
    is_first = way == "to_worker"
    try:
        while (body := frames.read_body(source)) is not None:
            frame = len(body).to_bytes(frames.LENGTH_BYTES, "little") + body
            if way == plan.way and not is_first and random.random() < plan.rate:
                frame = mutated_frame(random, frame)
                with own.open("ab") as file:
                    file.write(b"x")
            is_first = False
            sink.write(frame)
            sink.flush()
    except OSError:
        pass
    finally:
        if way == "to_worker":
            sink.close()


if __name__ == "__main__":
    sys.exit(main())
