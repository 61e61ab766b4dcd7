"""What all of OpenAI's requests for an answer have in common."""

from __future__ import annotations

import time

import msgspec

from erllama_daemon import __version__
from erllama_daemon.errors import FieldRefused
from erllama_daemon.messages import CompleteRequest, Sampling

ANSWERS_LIMIT = 32
"""How many answers to one prompt can be asked for."""

FINGERPRINT = f"erllama-{__version__}"

END_OF_STREAM = b"data: [DONE]\n\n"

_SEEDS = 2**32 - 1


class StreamOptions(msgspec.Struct, frozen=True):
    """Whether the last event of a stream says how many tokens it took."""

    include_usage: bool | None = None


def now() -> int:
    """Unix seconds, as answers are dated."""
    return int(time.time())


def sampling_of(
    *,
    temperature: float | None = None,
    top_p: float | None = None,
    frequency_penalty: float | None = None,
    presence_penalty: float | None = None,
    seed: int | None = None,
    logit_bias: dict[int, float] | None = None,
    json_schema: str | None = None,
) -> Sampling:
    """The sampler that is asked for; what is not is as erllama has it everywhere.

    A negative seed is any, as many clients mean it. One that is too large for erllama means another, always the same.
    """
    given = {
        "temperature": temperature,
        "top_p": top_p,
        "frequency_penalty": frequency_penalty,
        "presence_penalty": presence_penalty,
        "seed": None if seed is None or seed < 0 else seed % _SEEDS,
        "logit_bias": logit_bias,
        "json_schema": json_schema,
    }
    return msgspec.convert({name: value for name, value in given.items() if value is not None}, Sampling)


def stops_of(stop: str | list[str] | None) -> list[str]:
    """The texts that end an answer."""
    if isinstance(stop, str):
        return [stop]
    return list(stop or [])


def repeated(request: CompleteRequest, n: int | None) -> list[CompleteRequest]:
    """A request for each of `n` answers; with a seed, each has its own. Raises FieldRefused."""
    count = 1 if n is None else n
    if not 1 <= count <= ANSWERS_LIMIT:
        raise FieldRefused(field="n", reason=f"it must lie between 1 and {ANSWERS_LIMIT}")
    if count > 1 and request.session is not None:
        raise FieldRefused(field="n", reason="a conversation goes on from one answer")
    seed = request.sampling.seed
    if seed is None:
        return [request] * count
    return [
        msgspec.structs.replace(request, sampling=msgspec.structs.replace(request.sampling, seed=(seed + i) % _SEEDS))
        for i in range(count)
    ]
