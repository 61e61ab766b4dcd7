"""`erllama daemon restart`: the daemon ends, saved, and begins anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from erllama_cli import options
from erllama_cli.failures import reported_failures
from erllama_cli.options.settings import Http, LogPrompts, Set, with_named

if TYPE_CHECKING:
    from erllama_cli.results.daemon import Restarted
    from erllama_daemon.messages import ModelStatus

EXAMPLES = """\b
Examples:
  erllama daemon restart"""


def restart(
    settings: Set = None,
    http: Http = None,
    log_prompts: LogPrompts = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Stop the daemon once it has saved what it holds, and start it anew.

    Starts it if none runs. No model is loaded again before a request needs it. Private conversations that are open, and
    adapters that are attached, end with the old daemon. What it was given with --set, --http and --log-prompts the new
    one has too, but for keys that are given anew, or that the file or the environment sets.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.client import Client
        from erllama_cli.daemon.found import running_status, status_of_any
        from erllama_cli.daemon.inheritance import Inheritance, inheritance
        from erllama_cli.daemon.replacement import restart_daemon
        from erllama_cli.output import print_json
        from erllama_cli.results.daemon import Restarted
        from erllama_daemon.config import read_config
        from erllama_daemon.directories import user_directories
        from erllama_daemon.tcp_address import check_tls

        directories = user_directories()
        given = with_named(settings, http=http, log_prompts=log_prompts)
        client = Client(directories)
        before = status_of_any(client)
        kept, left = Inheritance([], [])
        if before is not None:
            # What is wrong is said before the old one is gone.
            kept, left = inheritance(client, directories, before, given)
            given = [*kept, *given]
            check_tls(read_config(directories.config_file, given).daemon)
            restart_daemon(client, directories, before, given)
        now = running_status(directories, given)
        models = [] if before is None else before.models
        restarted = Restarted(
            stopped_pid=None if before is None else before.pid,
            pid=now.pid,
            version=now.version,
            socket=now.socket,
            url=now.url,
            unloaded=[model.id for model in models],
            kept=kept,
            left=left,
        )
        if as_json:
            print_json(restarted)
        elif not quiet:
            _print(restarted, models)


def _print(restarted: Restarted, models: list[ModelStatus]) -> None:
    from erllama_cli.daemon.found import on_tcp
    from erllama_cli.model import short_name

    stopped = "" if restarted.stopped_pid is None else f"stopped: process {restarted.stopped_pid}\n"
    print(f"{stopped}started: process {restarted.pid} at {restarted.socket}{on_tcp(restarted.url)}")
    if restarted.kept:
        print(f"as before: {', '.join(restarted.kept)}")
    if restarted.left:
        print(f"no longer, for the configuration says otherwise: {', '.join(restarted.left)}")
    for model in models:
        gone = ", and its adapters are detached" if model.adapters else ""
        print(f"{short_name(model.id)} was saved; the next request loads it{gone}")
