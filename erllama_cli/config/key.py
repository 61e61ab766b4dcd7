"""KEY as the user types it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from erllama_cli.completion.candidates import complete_config_key

if TYPE_CHECKING:
    from erllama_daemon.config.key import Key, Path

KeyArgument = Annotated[
    str,
    typer.Argument(
        metavar="KEY",
        help="Such as cache.ram_bytes; `erllama config show --all` has them all.",
        autocompletion=complete_config_key,
    ),
]


def known_key(text: str) -> tuple[Path, Key]:
    """The key of this name. Raises ConfigKeyInvalid, with the nearest one."""
    from erllama_daemon.config.given import told_nearest
    from erllama_daemon.config.key import Key, find, split
    from erllama_daemon.errors import ConfigKeyInvalid

    try:
        path = split(text)
    except ValueError:
        raise ConfigKeyInvalid(problem=f"{text!r} is no key") from None
    found = find(path)
    if found is None:
        raise ConfigKeyInvalid(problem=f"{text}: there is no such key{told_nearest(path)}")
    if not isinstance(found, Key):
        raise ConfigKeyInvalid(problem=f"{text} is a table; name a key in it")
    return path, found
