"""Options that say how the next token is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from erllama_cli.options.groups import OptionGroup
from erllama_daemon.choices import MIN_P, REPEAT_PENALTY, TEMPERATURE, TOP_K, TOP_P

if TYPE_CHECKING:
    from erllama_cache.errors import ErllamaError
    from erllama_daemon.messages import Sampling

Temperature = Annotated[
    float | None,
    typer.Option(
        "-t",
        "--temperature",
        min=0.0,
        metavar="T",
        help=f"How freely to choose; 0 always takes the likeliest; {TEMPERATURE} by default.",
    ),
]
TopK = Annotated[
    int | None,
    typer.Option(
        min=0, metavar="K", help=f"Choose among the likeliest K tokens; 0 is all of them; {TOP_K} by default."
    ),
]
TopP = Annotated[
    float | None,
    typer.Option(
        min=0.0, max=1.0, metavar="P", help=f"Choose among the likeliest that add up to P; {TOP_P} by default."
    ),
]
MinP = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=1.0,
        metavar="P",
        help=f"Leave out tokens less likely than P times the likeliest; {MIN_P} by default.",
    ),
]
RepeatPenalty = Annotated[
    float | None,
    typer.Option(
        min=0.0, metavar="X", help=f"Make tokens that came lately less likely; 1 is off; {REPEAT_PENALTY} by default."
    ),
]
Seed = Annotated[
    int | None, typer.Option(min=0, max=2**32 - 2, metavar="N", help="Choose the same way again; drawn if not given.")
]
Grammar = Annotated[
    str | None, typer.Option(metavar="FILE", help="Answer only what this GBNF grammar allows; it starts at `root`.")
]
JsonSchema = Annotated[
    str | None, typer.Option("--json-schema", metavar="FILE", help="Answer JSON that follows this schema.")
]
LogitBias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ID=BIAS",
        help="Add BIAS to the logit of a token; -100 all but rules it out. May be given several times.",
    ),
]


class SamplingOptions(OptionGroup):
    """The sampler keys of one answer. What is not given is as the configuration has it."""

    temperature: Temperature = None
    top_k: TopK = None
    top_p: TopP = None
    min_p: MinP = None
    repeat_penalty: RepeatPenalty = None
    seed: Seed = None
    grammar: Grammar = None
    json_schema: JsonSchema = None
    logit_bias: LogitBias = None

    def sampling(self) -> Sampling:
        """What they add up to, the files read.

        Raises RequestInvalid, GrammarInvalid, JsonSchemaInvalid and ConfigInvalid.
        """
        from erllama_cli.config.defaults import usual
        from erllama_daemon.errors import GrammarInvalid, JsonSchemaInvalid
        from erllama_daemon.messages import Sampling
        from erllama_daemon.messages.limits import GRAMMAR_BYTES_LIMIT, JSON_SCHEMA_BYTES_LIMIT

        grammar = json_schema = None
        if self.grammar is not None:
            grammar = _text_of(self.grammar, GRAMMAR_BYTES_LIMIT, GrammarInvalid)
        if self.json_schema is not None:
            json_schema = _text_of(self.json_schema, JSON_SCHEMA_BYTES_LIMIT, JsonSchemaInvalid)
        return Sampling(
            temperature=usual("temperature") if self.temperature is None else self.temperature,
            top_k=usual("top_k") if self.top_k is None else self.top_k,
            top_p=usual("top_p") if self.top_p is None else self.top_p,
            min_p=usual("min_p") if self.min_p is None else self.min_p,
            repeat_penalty=usual("repeat_penalty") if self.repeat_penalty is None else self.repeat_penalty,
            seed=self.seed,
            grammar=grammar,
            json_schema=json_schema,
            logit_bias=dict(map(_bias, self.logit_bias or [])),
        )


def _text_of(path: str, limit: int, error: type[ErllamaError]) -> str:
    from erllama_cli.files import read_text_file

    return read_text_file(path, limit, error)


def _bias(text: str) -> tuple[int, float]:
    token, _, bias = text.partition("=")
    try:
        return int(token), float(bias)
    except ValueError:
        from erllama_daemon.errors import RequestInvalid

        raise RequestInvalid(reason=f"--logit-bias takes ID=BIAS, two numbers, not {text!r}") from None
