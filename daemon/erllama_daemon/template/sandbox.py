"""Jinja for templates that came with a model file from anywhere: they compute text and can do nothing else.

What makes values larger is measured before it happens where it multiplies, and counted afterwards where it adds up.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from typing import Any

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_LENGTH = 8 * 1024 * 1024
"""The longest text, in characters, and the longest list."""

MAX_TOTAL = 256 * 1024 * 1024
"""How many characters and list entries one rendering may make, all intermediate values together."""

MAX_NUMBER = 100_000
"""The largest number that may be handed to a filter or method: it could be a width or a count."""

MAX_BITS = 4096
"""The longest integer."""

_UNUSED_FILTERS = ("center", "pprint", "random", "slice", "sum", "urlize", "wordwrap", "xmlattr")
"""These can make values grow without bound, or make a prompt random; chat templates have no use for them."""

_UNUSED_METHODS = ("expandtabs", "translate")
_WIDTH = re.compile(r"\d{6}")


class TemplateTooLarge(SecurityError):
    """A template computes a value that is larger than any prompt."""


class _BoundedCode(CodeGenerator):
    """Hands what `~` and slices make to the environment."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802
        self.write("environment.joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:  # noqa: N802
        self.write("environment.counted(")
        super().visit_Getitem(node, frame)
        self.write(")")


class TemplateSandbox(ImmutableSandboxedEnvironment):
    """An environment for one template, used by one thread at a time. Breaking its bounds raises TemplateTooLarge."""

    code_generator_class = _BoundedCode
    intercepted_binops = frozenset(("+", "*", "**", "%"))

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
        self._total = 0
        del self.globals["lipsum"]
        for name, function in list(self.filters.items()):
            if name in _UNUSED_FILTERS:
                del self.filters[name]
            else:
                self.add_filter(name, function)

    def add_filter(self, name: str, function: Callable[..., Any]) -> None:
        """Makes a filter known, within bounds."""
        first = 1 if hasattr(function, "jinja_pass_arg") else 0

        @functools.wraps(function)
        def bounded(*arguments: Any, **named: Any) -> Any:
            rest = list(arguments[first:])
            self._check_arguments(name, rest, named)
            return self.counted(function(*arguments[:first], *rest, **named))

        self.filters[name] = bounded

    def start(self) -> None:
        """Counts from 0 again, at the beginning of a rendering."""
        self._total = 0

    def counted(self, value: Any) -> Any:
        """The value, once its size has been counted."""
        if isinstance(value, str | bytes | list | tuple | dict):
            self._check_length(len(value))
            self._total += len(value)
            if self._total > MAX_TOTAL:
                raise TemplateTooLarge(f"it makes more than {MAX_TOTAL:,} characters")
        return value

    def joined(self, parts: Iterable[object]) -> str:
        """What `~` means."""
        return self.concat(str(part) for part in parts)

    def concat(self, parts: Iterable[str]) -> str:
        """The parts as one text; Jinja calls this for all output."""
        length, taken = 0, []
        for part in parts:
            length += len(part)
            self._check_length(length)
            taken.append(part)
        return str(self.counted("".join(taken)))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "+":
            if hasattr(left, "__len__") and hasattr(right, "__len__"):
                self._check_length(len(left) + len(right))
        elif operator == "%" and isinstance(left, str | bytes):
            _check_format(str(left), right if isinstance(right, tuple) else (right,))
        elif operator != "%":
            self._check_product(operator, left, right)
        return self.counted(super().call_binop(context, operator, left, right))

    def call(self, context: Context, function: Any, /, *arguments: Any, **named: Any) -> Any:
        owner = getattr(getattr(function, "__wrapped__", function), "__self__", None)
        if isinstance(owner, str | bytes | list | tuple | dict):
            name = getattr(function, "__name__", "")
            if name in _UNUSED_METHODS:
                raise TemplateTooLarge(f"{name} is not for templates")
            values = [owner, *arguments]
            self._check_arguments(name, values, named)
            arguments = tuple(values[1:])
        return self.counted(super().call(context, function, *arguments, **named))

    def _check_length(self, length: int) -> None:
        if length > MAX_LENGTH:
            raise TemplateTooLarge(f"it makes a text or list longer than {MAX_LENGTH:,}")

    def _check_product(self, operator: str, left: Any, right: Any) -> None:
        for sequence, count in ((left, right), (right, left)):
            if hasattr(sequence, "__len__") and isinstance(count, int):
                self._check_length(len(sequence) * count)
        if isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() * right if operator == "**" else left.bit_length() + right.bit_length()
            if bits > MAX_BITS:
                raise TemplateTooLarge(f"it computes a number of more than {MAX_BITS:,} bits")

    def _check_arguments(self, name: str, values: list[Any], named: dict[str, Any]) -> None:
        """What a filter or method called `name` makes of `values[0]` and the rest. `join` gets its parts as a list."""
        arguments = [*values[1:], *named.values()]
        for argument in arguments:
            if isinstance(argument, int) and abs(argument) > MAX_NUMBER:
                raise TemplateTooLarge(f"{name} gets the number {argument}")
        value = values[0] if values else ""
        longest = max((len(argument) for argument in arguments if isinstance(argument, str)), default=0)
        if name == "replace":
            old = next((len(argument) for argument in arguments if isinstance(argument, str)), 0)
            self._check_length((len(str(value)) // max(1, old) + 1) * longest)
        elif name == "join":
            self._check_join(values, longest)
        elif name == "indent":
            width = max((argument for argument in arguments if isinstance(argument, int)), default=4)
            self._check_length((str(value).count("\n") + 1) * max(width, longest))
        elif name == "tojson" and any(isinstance(argument, int) and argument > 64 for argument in arguments):
            raise TemplateTooLarge("tojson indents by more than 64")
        elif name in ("format", "format_map") and isinstance(value, str):
            _check_format(value, arguments)

    def _check_join(self, values: list[Any], longest: int) -> None:
        """The parts are the value of a filter, but the argument of a method, whose value is the separator."""
        place = 1 if isinstance(values[0], str) and len(values) > 1 and not isinstance(values[1], str) else 0
        values[place] = parts = list(values[place])
        separator = len(values[0]) if place else longest
        self._check_length(sum(len(str(part)) + separator for part in parts))


def _check_format(template: str, arguments: Iterable[Any]) -> None:
    """Widths and precisions stand in the text or among the arguments."""
    if _WIDTH.search(template) or (
        ("*" in template or "{" in template)
        and any(isinstance(argument, int) and abs(argument) > MAX_NUMBER for argument in arguments)
    ):
        raise TemplateTooLarge("it formats to a width of 100,000 or more")
