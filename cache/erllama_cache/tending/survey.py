"""A survey: every block on disk at one moment, and how they hang together. For people and for whoever tidies up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from erllama_cache.disk.files import BlockFiles, check_directory
from erllama_cache.disk.index import INDEX_NAME, Index
from erllama_cache.disk.origins import Origin, Origins
from erllama_cache.disk.pins import Pins
from erllama_cache.disk.row import Row
from erllama_cache.errors import BlockCorrupt, IndexUnusable, KeyAmbiguous, KeyUnknown, ParentGone
from erllama_cache.keys import KEY_BYTES


class Survey:
    """Blocks as trees: a root, the blocks that begin there, and what extends them. It never changes once it is made."""

    def __init__(self, rows: Iterable[Row], origins: dict[bytes, Origin]) -> None:
        self.rows = {row.key: row for row in rows}
        self.origins = origins
        self._children: defaultdict[bytes, list[Row]] = defaultdict(list)
        for row in self.rows.values():
            self._children[row.parent].append(row)

    @property
    def roots(self) -> set[bytes]:
        """Every root that a block says it belongs to."""
        return {row.root for row in self.rows.values()}

    @property
    def leaves(self) -> list[Row]:
        """The blocks that no other extends."""
        return [row for row in self.rows.values() if row.key not in self._children]

    @property
    def orphans(self) -> list[Row]:
        """The blocks that cannot be reached, for the beginning of their chain is gone; the deepest first."""
        lost = [row for row in self.rows.values() if row.parent != row.root and row.parent not in self.rows]
        found = [each for row in lost for each in (row, *self.descendants(row.key))]
        return sorted(found, key=lambda row: -row.start)

    def children(self, key: bytes) -> list[Row]:
        """The blocks that extend a block, or begin at a root."""
        return self._children.get(key, [])

    def descendants(self, key: bytes) -> Iterator[Row]:
        """All blocks that extend a block, near or far."""
        unseen = list(self.children(key))
        while unseen:
            row = unseen.pop()
            yield row
            unseen += self.children(row.key)

    def chain(self, key: bytes) -> list[Row]:
        """The blocks from the root to this one, as far back as they are there; none if it is not there itself."""
        chain: list[Row] = []
        # Positions shrink towards the root, whatever a damaged index claims, or the walk might never end.
        while (row := self.rows.get(key)) is not None and (not chain or row.end == chain[-1].start):
            chain.append(row)
            key = row.parent
        chain.reverse()
        return chain

    def whole_chain(self, key: bytes) -> list[Row]:
        """As `chain`, back to the root. Raises KeyUnknown, and ParentGone if its beginning is not there."""
        chain = self.chain(key)
        if not chain:
            raise KeyUnknown(key=key.hex())
        if not self._is_whole(chain):
            raise ParentGone(key=chain[0].key.hex())
        return chain

    def last_of(self, keys: Sequence[bytes]) -> bytes | None:
        """The last of some keys whose chain is here, back to the root."""
        return next((key for key in reversed(keys) if self._is_whole(self.chain(key))), None)

    def resolve(self, name: str) -> bytes:
        """The key that `name`, hexadecimal, is or begins. Raises KeyUnknown and KeyAmbiguous."""
        found = [key for key in self.rows if name and key.hex().startswith(name.lower())]
        if not found:
            raise KeyUnknown(key=name)
        if len(found) > 1:
            raise KeyAmbiguous(key=name, count=len(found))
        return found[0]

    def removable(self, keys: Collection[bytes], *, even_pinned: bool = False) -> list[Row]:
        """Those of some blocks that may go: neither they nor what extends them are pinned or to be kept.

        In the order in which they can go, the deepest first.
        """
        going: dict[bytes, Row] = {}
        for row in sorted((self.rows[key] for key in keys if key in self.rows), key=_depth):
            if (even_pinned or not row.is_pinned) and all(child.key in going for child in self.children(row.key)):
                going[row.key] = row
        return list(going.values())

    def only_of(self, keys: Iterable[bytes], others: Iterable[bytes]) -> list[Row]:
        """The blocks of the chains that end in `keys` which nothing else needs: neither the chains that end in `others`
        nor a block of no chain at all. In the order in which they can go.
        """
        needed = {row.key for key in others for row in self.chain(key)}
        return self.removable({row.key for key in keys for row in self.chain(key)} - needed)

    @staticmethod
    def _is_whole(chain: Sequence[Row]) -> bool:
        return bool(chain) and chain[0].start == 0


def _depth(row: Row) -> int:
    return -row.start


def survey(directory: Path) -> Survey:
    """What is on disk in `directory`; safe beside any other process, and creates nothing.

    If the index cannot be read, the files are: then nothing is known of uses and hits. Raises CacheUnreadable.
    """
    check_directory(directory)
    return Survey(_indexed(directory), Origins(directory).all())


def _indexed(directory: Path) -> list[Row]:
    path = directory / INDEX_NAME
    if not path.is_file():
        return _found(directory)
    index = Index(path, read_only=True)
    try:
        return list(index.rows())
    except IndexUnusable:
        return _found(directory)
    finally:
        index.close()


def _found(directory: Path) -> list[Row]:
    files, pins = BlockFiles(directory), Pins(directory).all()
    rows = []
    for file in files.scan():
        if file.key is not None and len(file.key) == KEY_BYTES:
            try:
                head = files.head(file.key)
            except (OSError, BlockCorrupt):
                continue
            rows.append(Row.of(head.header, used=head.header.created, label=head.label, is_pinned=file.key in pins))
    return rows
