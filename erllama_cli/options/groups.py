"""Options that several commands share, written down once."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, cast, get_origin, get_type_hints


def with_option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """`command`, where each parameter that is a dataclass is given as the options that are its fields.

    The fields are annotated as parameters of a command are, or else are no options. Each needs a default, and no two
    groups of a command may have an option of the same name.
    """
    groups: dict[str, tuple[type, list[str]]] = {}
    parameters: list[inspect.Parameter] = []
    hints = get_type_hints(command, include_extras=True)
    for parameter in inspect.signature(command).parameters.values():
        kind = hints[parameter.name]
        if get_origin(kind) is not Annotated and dataclasses.is_dataclass(kind):
            options = _options(cast(type, kind))
            groups[parameter.name] = cast(type, kind), [option.name for option in options]
            parameters += options
        else:
            parameters.append(parameter.replace(annotation=kind, kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(command)
    def grouped(**given: Any) -> None:
        gathered = {
            name: kind(**{option: given.pop(option) for option in options}) for name, (kind, options) in groups.items()
        }
        command(**given, **gathered)

    grouped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return grouped


def _options(group: type) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None if field.default is dataclasses.MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in dataclasses.fields(group)
        if get_origin(hints[field.name]) is Annotated
    ]
