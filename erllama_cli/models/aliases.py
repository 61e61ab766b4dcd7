"""The aliases in the user's configuration, changed and read."""

from __future__ import annotations

from erllama_cli.config.change import set_key, unset_key
from erllama_cli.model import is_path, resolve_model
from erllama_cli.question import valid_text
from erllama_daemon.catalog.demo import DEMO
from erllama_daemon.catalog.find import find_model
from erllama_daemon.config import read_config
from erllama_daemon.config.key import Key, find
from erllama_daemon.directories import Directories
from erllama_daemon.errors import AliasUnknown, RequestInvalid

_TABLE = "aliases"


def set_alias(directories: Directories, name: str, model: str) -> None:
    """Has a name mean a model that is there, by its path or its name; of an alias, what that stands for.

    Raises as `find_model` and `set_key`, and RequestInvalid for what can be no alias.
    """
    _check(name)
    target = resolve_model(model)
    target = read_config(directories.config_file).aliases.get(target, target)
    find_model(target)
    path = (_TABLE, name)
    key = find(path)
    if not isinstance(key, Key):
        raise AssertionError("every alias is a key")
    set_key(directories, path, key, target)


def remove_alias(directories: Directories, name: str) -> None:
    """Takes an alias out of the file. Raises AliasUnknown, and as `unset_key`."""
    if not unset_key(directories, (_TABLE, name)):
        raise AliasUnknown(alias=name)


def shown_aliases(directories: Directories, name: str | None) -> dict[str, str]:
    """All aliases, or the one of this name. Raises AliasUnknown and ConfigInvalid."""
    aliases = read_config(directories.config_file).aliases
    if name is None:
        return dict(sorted(aliases.items()))
    if name not in aliases:
        raise AliasUnknown(alias=name)
    return {name: aliases[name]}


def _check(name: str) -> None:
    valid_text(name, "the alias")
    if not name.strip() or not name.isprintable() or name != name.strip():
        raise RequestInvalid(reason="an alias has letters that can be seen, and no spaces around them")
    if "/" in name or name.startswith("-") or is_path(name):
        raise RequestInvalid(reason=f"the alias {name} would be taken for a path or an option")
    if name == DEMO:
        raise RequestInvalid(reason=f"{DEMO} is a model already")
