"""llama.cpp: whether it can be loaded here, and whether it was compiled for this processor.

It is loaded in a process of its own, which it may take along.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from erllama_cli.results.doctor import Check
from erllama_daemon.directories import Directories

PROGRAM = """
import llama_cpp
print(llama_cpp.__version__)
print(llama_cpp.llama_print_system_info().decode())
"""

TIMEOUT_S = 60.0
CPU_INFO = Path("/proc/cpuinfo")

_REBUILD = (
    "Compile it for this processor: "
    f"{sys.executable} -m pip install --force-reinstall --no-cache-dir --no-binary llama-cpp-python llama-cpp-python"
)

_FLAGS = {
    "AVX": "avx",
    "AVX2": "avx2",
    "F16C": "f16c",
    "FMA": "fma",
    "AVX512": "avx512f",
    "AVX512_VNNI": "avx512_vnni",
    "NEON": "asimd",
    "DOTPROD": "asimddp",
    "MATMUL_INT8": "i8mm",
    "SVE": "sve",
}
"""The features that make a difference, by llama.cpp's names, each with the kernel's."""

_FEATURE = re.compile(r"(\w+) = 1")


def examine(_directories: Directories) -> Iterator[Check]:
    """Whether it loads, and its features beside the processor's."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", PROGRAM],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        yield Check("native library", "failed", f"llama.cpp was not loaded within {TIMEOUT_S:.0f} s", _REBUILD)
        return
    version, _, info = done.stdout.partition("\n")
    if done.returncode:
        yield Check("native library", "failed", f"llama.cpp cannot be loaded: {_why(done)}", _REBUILD)
        return
    compiled = set(_FEATURE.findall(info))
    known = ", ".join(name for name in _FLAGS if name in compiled) or "no features of this processor"
    yield Check("native library", "ok", f"llama-cpp-python {version}, compiled with {known}")
    yield from _compared(compiled)


def _compared(compiled: set[str]) -> Iterator[Check]:
    """What the processor could do better; nothing where the system does not tell."""
    has = _processor()
    if has is None:
        return
    unused = [name for name, flag in _FLAGS.items() if flag in has and name not in compiled]
    if unused:
        finding = (
            f"this processor has {', '.join(unused)}, and llama.cpp was compiled without: it is slower than it could be"
        )
        yield Check("processor", "warning", finding, _REBUILD)
    else:
        yield Check("processor", "ok", "llama.cpp uses what this processor has")


def _processor() -> set[str] | None:
    try:
        lines = CPU_INFO.read_text(errors="replace").splitlines()
    except OSError:
        return None
    found = [line.partition(":")[2].split() for line in lines if line.lower().startswith(("flags", "features"))]
    return set(found[0]) if found else None


def _why(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode == -signal.SIGILL:
        return "it was compiled for another processor, and does what this one cannot"
    if done.returncode < 0:
        return f"its process was ended by {signal.Signals(-done.returncode).name}"
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"its process ended with {done.returncode}"
