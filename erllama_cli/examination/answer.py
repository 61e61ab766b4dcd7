"""An answer, from the question to its last token: all of erllama at once."""

from __future__ import annotations

import time
from collections.abc import Iterator

from erllama_cli.launcher import running_daemon
from erllama_cli.one_line import cut, one_line
from erllama_cli.output import counted
from erllama_cli.results.doctor import Check
from erllama_daemon.directories import Directories
from erllama_daemon.errors import ConfigInvalid, DaemonLost, DemoModelMissing
from erllama_daemon.messages import CompleteRequest, Done, Failure, Message, RemoteError, Sampling, Stats

_TOKENS = 5
_SHOWN = 40


def examine(directories: Directories) -> Iterator[Check]:
    """Asks the demo model, through the daemon, which is started if need be; nothing of it is kept.

    Raises whatever keeps it from answering, but what is wrong with the configuration, which its own check tells.
    """
    started = time.monotonic()
    request = CompleteRequest(
        messages=[Message("user", ["Say hello."])],
        model="demo",
        max_tokens=_TOKENS,
        sampling=Sampling(temperature=0.0),
        cache=False,
    )
    try:
        stats = _answer(directories, request)
    except ConfigInvalid:
        yield Check("answer", "ok", "not asked for: no daemon starts with this configuration")
        return
    except RemoteError as error:
        failure: Failure = error.failure
        if failure.code != DemoModelMissing.code:
            raise
        yield Check("answer", "ok", "not asked for: the demo model is not installed")
        return
    took_s = time.monotonic() - started
    said = cut(one_line(stats.text), _SHOWN)
    yield Check("answer", "ok", f"{counted(stats.completion_tokens, 'token')} in {took_s:.1f} s: {said}")


def _answer(directories: Directories, request: CompleteRequest) -> Stats:
    for event in running_daemon(directories, quiet=True).complete(request):
        if isinstance(event, Done):
            return event.stats
    raise DaemonLost(log=directories.daemon_log)
