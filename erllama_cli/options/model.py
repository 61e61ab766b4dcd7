"""Options that say how a model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from erllama_cache.choices import KNOBS, FingerprintMode
from erllama_cli.options.groups import OptionGroup
from erllama_cli.options.naming import said_of_options
from erllama_daemon.choices import FlashAttention, KvType

if TYPE_CHECKING:
    from erllama_cache.policy import PolicyKnobs
    from erllama_daemon.messages import ModelOptions

Context = Annotated[
    int | None,
    typer.Option(
        "--ctx",
        min=1,
        metavar="N",
        help="How many tokens the model can hold in mind; by default what it was trained for, if memory allows.",
    ),
]
Parallel = Annotated[
    int | None, typer.Option(min=1, max=64, metavar="N", help="How many requests are answered together; 4 by default.")
]
KeyValueType = Annotated[KvType | None, typer.Option("--kv-type", help="How precisely the KV cache is kept.")]
FlashAttentionMode = Annotated[FlashAttention | None, typer.Option(help="Whether to use flash attention.")]
GpuLayers = Annotated[
    int | None, typer.Option(min=-1, metavar="N", help="How many layers the GPU computes; -1 is all of them.")
]
Threads = Annotated[int | None, typer.Option(min=1, max=1024, metavar="N", help="How many threads compute.")]
Mmap = Annotated[
    bool | None, typer.Option("--mmap/--no-mmap", help="Map the file, or read the whole of it into memory.")
]
PolicyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--policy",
        metavar="NAME=N",
        help=f"Change when state is saved: {', '.join(KNOBS)}. May be given several times.",
    ),
]
FingerprintModeOption = Annotated[
    FingerprintMode | None,
    typer.Option(
        "--fingerprint-mode",
        help="What cached state is told apart by: the SHA-256 of the file, its header and a sample of each tensor, or "
        "what --fingerprint says. fast_unsafe trusts you: a fingerprint shared by two models gives wrong answers.",
    ),
]
Fingerprint = Annotated[
    str | None,
    typer.Option(metavar="HEX", help="The fingerprint that fast_unsafe takes your word for: 64 hexadecimal digits."),
]
KeepAlive = Annotated[
    str | None,
    typer.Option(
        metavar="DURATION",
        help="How long the model stays loaded after its last request, until it is loaded anew: 30s, 10m, 2h, 0, or "
        "forever (-1); 30m by default.",
    ),
]


class LoadOptions(OptionGroup):
    """How a model is loaded. What is not given is as it is loaded now, or else as it is configured."""

    ctx: Context = None
    parallel: Parallel = None
    kv_type: KeyValueType = None
    flash_attention: FlashAttentionMode = None
    gpu_layers: GpuLayers = None
    threads: Threads = None
    mmap: Mmap = None
    policy: PolicyOption = None
    fingerprint_mode: FingerprintModeOption = None
    fingerprint: Fingerprint = None
    keep_alive: KeepAlive = None

    def model_options(self) -> ModelOptions:
        """What they add up to. Raises RequestInvalid."""
        from erllama_daemon.messages import ModelOptions
        from erllama_daemon.messages.checks import check_options

        options = ModelOptions(
            context_size=self.ctx,
            parallel=self.parallel,
            kv_type=self.kv_type,
            flash_attention=self.flash_attention,
            gpu_layers=self.gpu_layers,
            threads=self.threads,
            mmap=self.mmap,
            policy=policy_of(self.policy) if self.policy else None,
            fingerprint_mode=self.fingerprint_mode,
            fingerprint=None if self.fingerprint is None else self.fingerprint.lower(),
            keep_alive_s=None if self.keep_alive is None else _seconds(self.keep_alive),
        )
        with said_of_options():
            check_options(options)
        return options


def _seconds(duration: str) -> float:
    from erllama_cli.durations import duration_s

    return duration_s(duration)


def policy_of(knobs: Sequence[str]) -> PolicyKnobs:
    """The knobs that are turned, each given as NAME=N; the others stay as they are. Raises RequestInvalid."""
    import msgspec

    from erllama_cache.policy import PolicyKnobs
    from erllama_daemon.errors import RequestInvalid

    turned = dict(knob.partition("=")[::2] for knob in knobs)
    try:
        return msgspec.convert(turned, PolicyKnobs, strict=False)
    except msgspec.ValidationError as error:
        raise RequestInvalid(reason=f"--policy: {error}") from error
