"""The examination: every check in its order, whatever becomes of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from erllama_cache.errors import ErllamaError
from erllama_cli.examination import (
    answer,
    cache,
    configuration,
    daemon,
    folders,
    native,
    python,
    room,
    sessions,
    shells,
)
from erllama_cli.results.doctor import Check
from erllama_daemon.directories import Directories
from erllama_daemon.messages import Failure

Examine = Callable[[Directories], Iterator[Check]]

CHECKS: dict[str, Examine] = {
    "python": python.examine,
    "native library": native.examine,
    "folders": folders.examine,
    "configuration": configuration.examine,
    "daemon": daemon.examine,
    "disk": room.examine,
    "cache": cache.examine,
    "conversations": sessions.examine,
    "shell": shells.examine,
    "answer": answer.examine,
}
"""Each gives one check or more; the last takes longest."""


def examined(directories: Directories, *, with_answer: bool, debug: bool = False) -> Iterator[Check]:
    """What is found, one after the other. An error is a finding, too; with `debug`, one that nobody expected is not."""
    for name, examine in CHECKS.items():
        if name == "answer" and not with_answer:
            continue
        try:
            yield from examine(directories)
        except ErllamaError as error:
            failure = Failure.of(error)
            yield Check(name, "failed", failure.message, failure.hint)
        except Exception as error:
            if debug:
                raise
            yield Check(
                name,
                "failed",
                f"it could not be looked at: {type(error).__name__}: {error}",
                "Run erllama doctor --debug to see where.",
            )
