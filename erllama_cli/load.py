"""`erllama load`: a model that is ready before anybody asks."""

from __future__ import annotations

from erllama_cli import options
from erllama_cli.failures import reported_failures
from erllama_cli.model import ModelArgument, resolve_model
from erllama_cli.options.groups import with_option_groups
from erllama_cli.options.model import LoadOptions
from erllama_cli.output import print_json, readable_bytes

EXAMPLES = """\b
Examples:
  erllama load demo
  erllama load ./model.gguf --ctx 8192 --parallel 8 --keep-alive forever"""


@with_option_groups
def load(
    model: ModelArgument,
    *,
    loading: LoadOptions,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Load a model, or load it again with other options.

    Returns when it is ready.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.drawing.progress import Waiting
        from erllama_cli.launcher import running_daemon
        from erllama_cli.loading import await_loaded
        from erllama_daemon.directories import user_directories
        from erllama_daemon.messages import ModelRequest

        request = ModelRequest(model=resolve_model(model), options=loading.model_options())
        waiting = Waiting(shown=not (as_json or quiet))
        loaded = await_loaded(running_daemon(user_directories(), quiet=quiet), request, waiting)
        if as_json:
            print_json(loaded)
        elif not quiet:
            size = readable_bytes(loaded.resident_bytes)
            print(f"loaded: {loaded.context_size:,} tokens of context, {loaded.parallel} at once, {size} of memory")
