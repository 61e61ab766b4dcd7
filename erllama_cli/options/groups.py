"""Options that several commands share, written down once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, NoReturn, Self, dataclass_transform, get_origin, get_type_hints


@dataclass_transform(frozen_default=True, kw_only_default=True)
class OptionGroup:
    """Some options, each with a default. Frozen, and written as a dataclass is, of which no two are compared.

    A dataclass compiles methods of its own when its module is imported: a third of what it takes to declare a command.
    """

    def __init__(self, **given: Any) -> None:
        self.__dict__.update(given)

    def __setattr__(self, name: str, _value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be changed")

    def but(self, **changes: Any) -> Self:
        """The same options, but for these."""
        return type(self)(**self.__dict__ | changes)


def with_option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """`command`, where each parameter that is an OptionGroup is given as the options that are its fields.

    The fields are annotated as parameters of a command are, or else are no options. No two groups of a command may have
    an option of the same name.
    """
    groups: dict[str, tuple[type[OptionGroup], list[str]]] = {}
    parameters: list[inspect.Parameter] = []
    hints = get_type_hints(command, include_extras=True)
    for parameter in inspect.signature(command).parameters.values():
        kind = hints[parameter.name]
        if isinstance(kind, type) and issubclass(kind, OptionGroup):
            options = _options(kind)
            groups[parameter.name] = kind, [option.name for option in options]
            parameters += options
        else:
            parameters.append(parameter.replace(annotation=kind, kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(command)
    def grouped(**given: Any) -> None:
        gathered = {
            name: kind(**{option: given.pop(option) for option in options}) for name, (kind, options) in groups.items()
        }
        command(**given, **gathered)

    grouped.__annotations__ = {}  # or those of `command` would be evaluated once more; the signature has them all
    grouped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return grouped


def _options(group: type[OptionGroup]) -> list[inspect.Parameter]:
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=getattr(group, name), annotation=hint)
        for name, hint in get_type_hints(group, include_extras=True).items()
        if get_origin(hint) is Annotated
    ]
