"""`erllama models info`: one model, and what it takes to load it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from erllama_cli import options
from erllama_cli.failures import reported_failures
from erllama_cli.model import ModelArgument, resolve_model
from erllama_cli.options.model import Context, FlashAttentionMode, KeyValueType, Parallel
from erllama_cli.output import print_json, readable_bytes

if TYPE_CHECKING:
    from erllama_daemon.messages import CatalogModel, ModelInfo

EXAMPLES = """\b
Examples:
  erllama models info demo
  erllama models info demo --ctx 8192 --kv-type q8_0 --json | jq .memory.total_bytes"""

_LABEL_COLUMNS = 13


def info(
    model: ModelArgument,
    ctx: Context = None,
    parallel: Parallel = None,
    kv_type: KeyValueType = None,
    flash_attention: FlashAttentionMode = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Show what a model is, and the memory it will take.

    What it takes is an estimate from its file's header, and leaves out some tens of MiB of the worker's own.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.models.asking import model_info
        from erllama_daemon.messages import ModelInfoRequest, ModelOptions
        from erllama_daemon.messages.checks import check_options

        loading = ModelOptions(context_size=ctx, parallel=parallel, kv_type=kv_type, flash_attention=flash_attention)
        check_options(loading)
        found = model_info(ModelInfoRequest(model=resolve_model(model), options=loading))
        if as_json:
            print_json(found)
        else:
            for label, value in (*_facts(found.model), *_memory(found)):
                print(f"{label:{_LABEL_COLUMNS}}{value}".rstrip())


def _facts(model: CatalogModel) -> list[tuple[str, str]]:
    from erllama_cli.models.words import kind_of
    from erllama_cli.one_line import one_line

    return [
        ("model", f"{one_line(model.name)} ({model.store})"),
        *([("aliases", ", ".join(map(one_line, model.aliases)))] if model.aliases else []),
        ("file", f"{one_line(model.path)} ({readable_bytes(model.bytes)})"),
        ("architecture", f"{one_line(model.architecture) or '?'}, {_numbers(model.parameters)} parameters"),
        ("quantization", f"{model.quantization}, {model.quant_bits:g} bits a parameter"),
        ("context", f"{model.context_size:,} tokens" if model.context_size else "?"),
        ("kind", kind_of(model)),
        ("template", model.template or "none"),
        ("thinking", "yes" if model.thinking else "no"),
        ("embeddings", model.embeddings or "only as a by-product"),
        ("cache", model.cache),
        ("loaded", "yes" if model.loaded else "no"),
    ]


def _memory(found: ModelInfo) -> list[tuple[str, str]]:
    need = found.memory
    state = f"{readable_bytes(need.state_bytes)} for {need.context_size:,} tokens of context ({need.kv_type})"
    rows = [
        ("", ""),
        ("weights", readable_bytes(need.weights_bytes)),
        ("state", state),
        ("computing", readable_bytes(need.compute_bytes)),
        ("memory", f"{readable_bytes(need.total_bytes)} in all{_verdict(found)}"),
    ]
    if need.together_bytes:
        rows.append(
            ("", f"{readable_bytes(need.together_bytes)} more once {need.parallel} requests are answered at once")
        )
    return rows


def _verdict(found: ModelInfo) -> str:
    if found.available_bytes is None:
        return ""
    free = readable_bytes(found.available_bytes)
    if found.model.loaded:
        return f"; it is loaded, and {free} is free besides"
    return f"; it fits, for {free} is free" if found.fits else f"; it does not fit: only {free} is free"


def _numbers(count: int) -> str:
    """A count as people say it of models: 135 M, 7.2 B."""
    for size, unit in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count)
