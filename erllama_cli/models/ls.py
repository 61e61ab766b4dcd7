"""`erllama models ls`: the models that can be named, one a line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from erllama_cli import options
from erllama_cli.failures import reported_failures
from erllama_cli.output import Table, print_json, print_table, readable_bytes

if TYPE_CHECKING:
    from erllama_daemon.messages import CatalogModel

EXAMPLES = """\b
Examples:
  erllama models ls
  erllama models ls --json | jq -r '.models[] | select(.thinking) | .name'"""

_HEADER = ("size", "quant", "context", "kind", "cache", "loaded", "store", "model")
_EXPENDABLE = ("store", "context", "cache", "kind", "quant", "loaded", "size")
_NUMERIC = frozenset({"size", "context"})
_UNKNOWN = "?"


def ls(as_json: options.AsJson = False, quiet: options.Quiet = False, debug: options.Debug = False) -> None:
    """Show the models that can be named, those of other programs too.

    KIND is what a model is made for: chat, thinking (a chat that thinks first), text (it has no chat template), or
    embedding. CACHE is what is kept of what it has read: everything (dense), windows of it, a state, both (hybrid), or
    none. Starts no daemon: without one, none is loaded.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.fitted import fitted
        from erllama_cli.models.asking import known_models

        catalog = known_models()
        if as_json:
            print_json(catalog)
        elif catalog.models:
            rows = [_row(model) for model in catalog.models]
            print_table(fitted(Table(_HEADER, rows, _NUMERIC), _EXPENDABLE, whole=True))
        elif not quiet and sys.stderr.isatty():
            print("There is no model yet. Fetch one with: erllama models pull ORG/REPO", file=sys.stderr)


def _row(model: CatalogModel) -> list[str]:
    from erllama_cli.models.words import cache_word, called, kind_of
    from erllama_cli.one_line import one_line

    if model.problem is not None:
        facts = ["", "", "", "damaged", "", ""]
    else:
        facts = [
            readable_bytes(model.bytes),
            model.quantization,
            f"{model.context_size:,}" if model.context_size else _UNKNOWN,
            kind_of(model),
            cache_word(model),
            "yes" if model.loaded else "",
        ]
    return [*facts, model.store, one_line(called(model))]
