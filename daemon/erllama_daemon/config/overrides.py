"""What is set for one process alone: by its environment, and by its options."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Mapping, Sequence

from erllama_daemon.config.given import Gathered, Place, told_nearest
from erllama_daemon.config.key import PREFIX, Key, find, keys, split

OTHER_VARIABLES = ("ERLLAMA_SOCKET",)
"""Variables that begin as those of the keys do, and are none."""

OPTION = "--set"


def variables() -> Mapping[str, Key]:
    """The keys by their variables."""
    return {key.variable: key for key in keys() if key.variable is not None}


def given_in_environment(environment: Mapping[str, str]) -> Gathered:
    """What the variables set. One that is empty sets nothing."""
    gathered = Gathered()
    if not any(name.startswith(PREFIX) for name in environment):
        return gathered
    known = variables()
    for name, text in environment.items():
        if name in known and text:
            key = known[name]
            gathered.take(key.path, key.kind.written(text), Place("environment", name))
    return gathered


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """What to tell of each variable that looks as if it set a key, and sets none."""
    known = [*variables(), *OTHER_VARIABLES]
    endings = [each.removeprefix(PREFIX) for each in known]
    told = []
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name.removeprefix(PREFIX), endings, n=1)
            nearest = f"; the nearest is {PREFIX}{near[0]}" if near else ""
            told.append(f"The variable {name} sets nothing{nearest}.")
    return told


def given_in_options(options: Sequence[str]) -> Gathered:
    """What options set, each KEY=VALUE."""
    gathered = Gathered()
    for option in options:
        name, sign, text = _parted(option)
        place = Place("option", f"{OPTION} {name}")
        try:
            path = split(name.strip())
        except ValueError:
            path = ()
        if not sign or not path:
            gathered.problems.append(f"{OPTION} takes KEY=VALUE, not {option}")
            continue
        key = find(path)
        if key is None:
            gathered.problems.append(f"{place.name}: there is no such key{told_nearest(path)}")
        else:
            gathered.take(path, key.kind.written(text) if isinstance(key, Key) else text, place)
    return gathered


def options_among(arguments: Sequence[str]) -> list[str]:
    """What the arguments of a process set: each KEY=VALUE behind `--set`. All else is passed over."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(OPTION, action="append", default=[])
    found: list[str] = parser.parse_known_args(arguments)[0].set
    return found


def _parted(option: str) -> tuple[str, str, str]:
    """The key and the value. A sign within quotes, as in the path of a model, belongs to the key."""
    quote = ""
    for place, letter in enumerate(option):
        if letter in "\"'" and quote in ("", letter):
            quote = "" if quote else letter
        elif letter == "=" and not quote:
            return option[:place], "=", option[place + 1 :]
    return option, "", ""
