"""What the commands of models print with `--json`, beside the messages of the daemon."""

from __future__ import annotations

import msgspec


class Pulled(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is there now. `path` is its file, of several the first; `bytes` the size of all of them.

    `fetched_bytes` is what this command fetched of it: less, if it was there or begun before.
    """

    name: str
    path: str
    bytes: int
    fetched_bytes: int


class Aliases(msgspec.Struct, frozen=True):
    """The user's own names, each with the path or the name that it stands for."""

    aliases: dict[str, str]
