"""The version of a daemon beside that of this command."""

from __future__ import annotations

from enum import Enum

from erllama_daemon import __version__


class Age(Enum):
    """What a daemon is, seen from this command."""

    SAME = "same"
    OLDER = "older"
    NEWER = "newer"


def age_of(version: str | None) -> Age:
    """How old a daemon is that says this of its version; one that says nothing is from before daemons did."""
    if version == __version__:
        return Age.SAME
    # Imported here: nearly always they are the same.
    from packaging.version import InvalidVersion, Version

    try:
        other, own = Version(version or "0"), Version(__version__)
    except InvalidVersion:
        return Age.OLDER
    return Age.SAME if other == own else Age.NEWER if other > own else Age.OLDER
