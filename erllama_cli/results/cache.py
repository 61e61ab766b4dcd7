"""What the commands of the cache print with `--json`."""

from __future__ import annotations

import msgspec

from erllama_cli.output import counted, readable_bytes
from erllama_daemon.messages import Failure


class ChatName(msgspec.Struct, frozen=True):
    """A conversation, as people call it."""

    id: str
    title: str


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """From the root to one last block, which no other extends or with which a conversation ends.

    `tokens` is its length, `own_bytes` what it shares with no other chain. `parent`, `hits`, `value` (tokens a MiB) and
    `pinned` are those of the last block, `created` and `used` (Unix seconds) too. `label` is how its own part begins.
    """

    key: str
    parent: str
    root: str
    chat: ChatName | None
    model: str | None
    tokens: int
    blocks: int
    bytes: int
    own_bytes: int
    hits: int
    created: float
    used: float
    value: float
    pinned: bool
    label: str


class ChainList(msgspec.Struct, frozen=True):
    """What `cache ls --json` prints."""

    chains: list[Chain]


class ListedBlock(msgspec.Struct, frozen=True, kw_only=True):
    """One block. `start` is the position of its first token, `tokens` how many it has, `value` in tokens a MiB,
    `created` and `used` in Unix seconds, `cost_s` how long it took to compute; `kind` says how.
    """

    key: str
    parent: str
    root: str
    model: str | None
    kind: str
    reason: str
    start: int
    tokens: int
    bytes: int
    hits: int
    created: float
    used: float
    cost_s: float
    value: float
    pinned: bool
    label: str


class BlockList(msgspec.Struct, frozen=True):
    """What `cache ls --blocks --json` prints."""

    blocks: list[ListedBlock]


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A run of blocks, up to where it branches, a conversation ends or a block is pinned.

    `key` is that of the last block, which `pinned` is about. Its tokens reach from position `start` to `end`; `bytes`
    are its own; `hits` are those of the block hit most. `chats` end with it, `carried` ones here or further on;
    `blocks_below` extend it, whether `children` are shown or not. `used` is the last use here or further on, in Unix
    seconds. `label` is how its text begins.
    """

    key: str
    label: str
    start: int
    end: int
    blocks: int
    bytes: int
    hits: int
    pinned: bool
    used: float
    chats: list[ChatName]
    carried: int
    blocks_below: int
    children: list[Node]

    @property
    def tokens(self) -> int:
        """How many tokens the run has."""
        return self.end - self.start


class Root(msgspec.Struct, frozen=True, kw_only=True):
    """What one model computed with the same settings; `words` say which."""

    root: str
    words: list[str]
    model: str | None
    blocks: int
    bytes: int
    carried: int
    children: list[Node]


class CacheTree(msgspec.Struct, frozen=True):
    """What `cache tree --json` prints."""

    path: str
    roots: list[Root]


class RemovalReport(msgspec.Struct, frozen=True, kw_only=True):
    """What went or, after a dry run, would go. `chains` counts the ends of chains that were cut off."""

    chains: int
    blocks: int
    bytes: int
    dry_run: bool

    def __str__(self) -> str:
        went = "would go" if self.dry_run else "went"
        if not self.blocks:
            return f"nothing {went}"
        return f"{counted(self.chains, 'chain')} {went}: {counted(self.blocks, 'block')}, {readable_bytes(self.bytes)}"


class PinReport(msgspec.Struct, frozen=True, kw_only=True):
    """The blocks that were pinned or unpinned (hexadecimal keys), and what all pins together keep on disk now."""

    keys: list[str]
    pinned_blocks: int
    pinned_bytes: int
    quota_bytes: int

    @property
    def kept(self) -> str:
        """What is kept, in words."""
        if not self.pinned_blocks:
            return "nothing is pinned now"
        return f"{counted(self.pinned_blocks, 'block')}, {readable_bytes(self.pinned_bytes)}, are kept now"


class WarmedFile(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a document. Of `tokens`, `cached_tokens` had been read before. Unless there is an `error`,
    `finish_key` (hex) is that of its last block; it is empty if the text is too short for one.
    """

    file: str
    tokens: int = 0
    cached_tokens: int = 0
    seconds: float = 0.0
    finish_key: str = ""
    kept: bool = False
    pinned: bool = False
    error: Failure | None = None


class Warmed(msgspec.Struct, frozen=True):
    """Every document, in the order in which they were given."""

    files: list[WarmedFile]


class ExportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What is in the file: conversations by id, chains by the key (hexadecimal) that they end in."""

    path: str
    chats: list[str]
    keys: list[str]
    blocks: int
    bytes: int


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What came in. `chats` are the conversations that are new here, by their ids, `known_chats` those that were here
    already and were left as they are, `unnamed_chats` those of the new ones whose name another has here, which came
    without it; `missing_models` are files that new ones want and that are not here. `blocks` are those that were not
    here yet. `differences` says why the state will be read again on this machine, if that is known.
    """

    chats: list[str]
    known_chats: list[str]
    unnamed_chats: list[str]
    missing_models: list[str]
    blocks: int
    known_blocks: int
    differences: list[str]
