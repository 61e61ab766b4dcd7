"""`erllama daemon start`: a daemon that answers before anybody asks for it."""

from __future__ import annotations

from erllama_cli import options
from erllama_cli.failures import reported_failures
from erllama_cli.options.settings import Http, LogPrompts, Set, as_options, with_named

EXAMPLES = """\b
Examples:
  erllama daemon start
  erllama daemon start --http 127.0.0.1:8080
  erllama daemon start --json | jq .pid"""


def start(
    settings: Set = None,
    http: Http = None,
    log_prompts: LogPrompts = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Start the daemon, unless it runs. Returns when it answers.

    Nothing needs it: every command that asks a model starts the daemon by itself. With --set,
    --http or --log-prompts, one that runs already is an error.
    """
    with reported_failures(as_json=as_json, debug=debug):
        import shlex

        from erllama_cli.client import Client
        from erllama_cli.daemon.found import on_tcp, running_status
        from erllama_cli.output import print_json
        from erllama_cli.results.daemon import Started
        from erllama_daemon.directories import user_directories
        from erllama_daemon.errors import DaemonAlreadyRuns

        directories = user_directories()
        given = with_named(settings, http=http, log_prompts=log_prompts)
        before = Client(directories).status()
        if given and before is not None:
            again = shlex.join(["erllama", "daemon", "restart", *as_options(given)])
            raise DaemonAlreadyRuns(socket=before.socket).with_hint("To have it with these: {again}", again=again)
        found = running_status(directories, given)
        started = Started(
            started=before is None or before.pid != found.pid,
            pid=found.pid,
            version=found.version,
            socket=found.socket,
            url=found.url,
        )
        if as_json:
            print_json(started)
        elif not quiet:
            how = "started" if started.started else "runs already"
            print(f"{how}: process {started.pid} at {started.socket}{on_tcp(started.url)}")
