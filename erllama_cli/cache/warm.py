"""`erllama cache warm`: documents read now, so that questions about them need not wait."""

from __future__ import annotations

from typing import Annotated

import typer

from erllama_cli import options
from erllama_cli.failures import reported_failures
from erllama_cli.model import ModelArgument, resolve_model
from erllama_cli.options import DisplayOptions
from erllama_cli.options.answer import AdapterFiles
from erllama_cli.options.groups import with_option_groups
from erllama_cli.options.model import LoadOptions
from erllama_cli.output import print_json

EXAMPLES = """\b
Examples:
  erllama cache warm demo LICENSE README.md
  erllama cache warm demo --pin -s "Be brief." report.txt
  git diff | erllama cache warm demo -"""


@with_option_groups
def warm(
    model: ModelArgument,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="UTF-8 texts; - is standard input.")],
    *,
    system: options.System = None,
    adapter: AdapterFiles = None,
    pin: Annotated[bool, typer.Option("--pin", help="Never let them be evicted.")] = False,
    loading: LoadOptions,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Read documents into the cache before they are asked about.

    Each is read as `cat FILE | erllama run MODEL 'a question'` will. A document that cannot be read does not stop
    the others; the exit code is that of the first.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.adapter.file import adapter_choice
        from erllama_cli.cache.this_machine import directories_here
        from erllama_cli.cache.warming import warm_document
        from erllama_cli.launcher import running_daemon
        from erllama_cli.question import system_messages
        from erllama_cli.results.cache import Warmed
        from erllama_daemon.directories import user_directories
        from erllama_daemon.messages import CompleteRequest

        request = CompleteRequest(
            model=resolve_model(model),
            messages=system_messages(system),
            max_tokens=0,
            adapters=[adapter_choice(file) for file in adapter or []],
            options=loading.model_options(),
        )
        client = running_daemon(directories_here() if pin else user_directories(), quiet=quiet)
        display = DisplayOptions(as_json=as_json, quiet=quiet, debug=debug)
        warmed = [warm_document(client, request, file, display, pin=pin) for file in files]
        if as_json:
            print_json(Warmed(warmed))
        first = next((each.error for each in warmed if each.error is not None), None)
        if first is not None:
            raise typer.Exit(first.exit_code)
