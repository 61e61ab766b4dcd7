from __future__ import annotations

import subprocess
import sys

from erllama_daemon.engine.watchdog import EXIT_HUNG

PROGRAM = """
import sys, time
from erllama_daemon.engine.watchdog import Watchdog
watchdog = Watchdog(0.2)
for _ in range(3):
    with watchdog.watch("a short step"):
        pass
time.sleep(0.5)
with watchdog.watch("a long step"):
    time.sleep(float(sys.argv[1]))
"""


def run(seconds: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(seconds)], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_step_that_hangs_ends_the_process_and_is_named() -> None:
    done = run(30)
    assert done.returncode == EXIT_HUNG
    assert "a long step" in done.stderr


def test_steps_in_time_and_the_time_between_them_do_not() -> None:
    assert run(0).returncode == 0
