"""Options that mean the same everywhere, and the sampling they add up to."""

from __future__ import annotations

from typing import Annotated

import typer

from erllama_daemon.messages import Sampling

SAMPLING = Sampling()
MAX_TOKENS = 1024

MaxTokens = Annotated[
    int, typer.Option("-n", "--max-tokens", min=1, metavar="N", help="Stop the answer after this many tokens.")
]
Temperature = Annotated[
    float,
    typer.Option(
        "-t", "--temperature", min=0.0, metavar="T", help="How freely to choose; 0 always takes the likeliest."
    ),
]
TopK = Annotated[int, typer.Option(min=0, metavar="K", help="Choose among the likeliest K tokens; 0 is all of them.")]
TopP = Annotated[
    float, typer.Option(min=0.0, max=1.0, metavar="P", help="Choose among the likeliest that add up to P.")
]
MinP = Annotated[
    float,
    typer.Option(
        min=0.0,
        max=1.0,
        metavar="P",
        help="Leave out tokens less likely than P times the likeliest.",
    ),
]
RepeatPenalty = Annotated[
    float, typer.Option(min=0.0, metavar="X", help="Make tokens that came lately less likely; 1 is off.")
]
Seed = Annotated[
    int | None, typer.Option(min=0, max=2**32 - 2, metavar="N", help="Choose the same way again; drawn if not given.")
]
System = Annotated[
    str | None, typer.Option("-s", "--system", metavar="TEXT", help="What the model should know before all else.")
]
LogitsDigest = Annotated[
    bool, typer.Option("--logits-digest", help="Prove bit-exactness: add a digest of all logits to --json.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress and no notices.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def sampling(
    temperature: float, top_k: int, top_p: float, min_p: float, repeat_penalty: float, seed: int | None
) -> Sampling:
    """How the next token is chosen, as the options say."""
    return Sampling(
        temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, repeat_penalty=repeat_penalty, seed=seed
    )
