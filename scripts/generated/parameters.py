"""Options and arguments as they are written and what they mean."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

# What typer writes at the end of an option's help.
_FACTS = re.compile(r" *\[((?:default: |required|[-\d.]*<?=?x[<>]=|x[<>]=)[^\]]*)\]$")
# What it writes behind an argument's name.
_TYPE = re.compile(r"(?<=\w) <(?:str|int|float|list\[\w+\])>$")


@dataclass(frozen=True)
class Parameter:
    """An option or an argument: how it is written, and what it means."""

    names: tuple[str, ...]
    """Of an option all its names, the short one first; empty for an argument."""
    value: str
    """What stands for its value, with the sign before it; empty for a flag."""
    meaning: str

    @property
    def variables(self) -> list[str]:
        """The words of its value that stand for something else."""
        return re.findall(r"[A-Z]+", self.value)


def described(parameter: Any, context: Any) -> Parameter:
    """A parameter as its help has it."""
    term, meaning = parameter.get_help_record(context)
    sentences = told(meaning, parameter)
    if parameter.param_type_name == "argument":
        return Parameter((), _TYPE.sub("", term), sentences)
    names = tuple(sorted([*parameter.opts, *parameter.secondary_opts], key=lambda name: name.startswith("--")))
    _, _, value = term.rpartition(names[-1])
    return Parameter(names, value, sentences)


def told(meaning: str, parameter: Any) -> str:
    """The meaning of a parameter, with its default and its limits as sentences."""
    facts = _FACTS.search(meaning)
    if facts is None:
        return meaning
    sentences = [meaning[: facts.start()]]
    for fact in facts[1].split("; "):
        if fact.startswith("default: "):
            value = fact.removeprefix("default: ")
            is_flag = bool(parameter.secondary_opts)
            sentences.append(f"The default is {f'--{value}' if is_flag else f'`{value}`'}.")
        elif fact != "required":
            sentences.append(limits(fact))
    return " ".join(sentences)


def limits(fact: str) -> str:
    """`0<=x<=1` in words."""
    low, _, high = re.sub(r"x>=(.+)", r"\1<=x", fact).partition("x")
    least, most = number(low.removesuffix("<=")), number(high.removeprefix("<="))
    if least and most:
        return f"From {least} to {most}."
    return f"At least {least}." if least else f"At most {most}."


def number(text: str) -> str:
    """A number as it would be typed."""
    return f"`{text.removesuffix('.0')}`" if text else ""
