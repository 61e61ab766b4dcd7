"""The names that a user knows: what is wrong with a request, said of the options that it was made from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_OPTIONS = {
    "a stop string": "stop",
    "context_size": "ctx",
    "fingerprint": "fingerprint",
    "fingerprint_mode": "fingerprint-mode",
    "gpu_layers": "gpu-layers",
    "grammar": "grammar",
    "json_schema": "json-schema",
    "keep_alive_s": "keep-alive",
    "logit_bias": "logit-bias",
    "logprobs": "logprobs",
    "max_tokens": "max-tokens",
    "min_p": "min-p",
    "parallel": "parallel",
    "repeat_penalty": "repeat-penalty",
    "require_cached": "require-cached",
    "seed": "seed",
    "temperature": "temperature",
    "threads": "threads",
    "top_k": "top-k",
    "top_p": "top-p",
}
"""What begins the reasons that the checks of a request give, and the option behind it."""


@contextmanager
def said_of_options(mark: str = "--") -> Iterator[None]:
    """RequestInvalid that is raised inside names options, with `mark` before each, where it names fields."""
    from erllama_daemon.errors import RequestInvalid

    try:
        yield
    except RequestInvalid as error:
        raise RequestInvalid(reason=_renamed(str(error.details["reason"]), mark)) from error


def _renamed(reason: str, mark: str) -> str:
    import re

    fields = "|".join(sorted(_OPTIONS, key=len, reverse=True))
    return re.sub(rf"\b(?:{fields})\b", lambda found: mark + _OPTIONS[found[0]], reason)
