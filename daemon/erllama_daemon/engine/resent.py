"""Conversations that come back as text: the stored chain whose tokens wrote their beginning, found by its bytes.

What a model generated may be tokenized otherwise when it is read: the same text, other tokens, and state of no use. So
an answer that was generated here is looked for where its prompt ended, and compared byte for byte.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from erllama_cache.cuts import cuts
from erllama_cache.keys import unpack_tokens
from erllama_cache.ref import Child
from erllama_cache.store import Store
from erllama_daemon.engine.backend import Vocabulary
from erllama_daemon.engine.segments import Segments

MAX_PLACES = 1000
"""How many ends of chains are looked at for one prompt."""

CHANGED = "an earlier answer is not what was generated there, and was read as text"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stored chain ends: in its block `key`, after `tokens`, which wrote the text up to `offset` in bytes."""

    key: bytes
    tokens: Sequence[int]
    offset: int


@dataclass(slots=True)
class Findings:
    """The place to go on from, if there is one, how far the stored text goes from there, and where it was left.

    All of it is under `root`.
    """

    root: bytes = b""
    place: Place | None = None
    reach: int = 0
    left: int = -1

    @property
    def note(self) -> str | None:
        """Why there is not more."""
        return CHANGED if self.left >= (self.place.offset if self.place is not None else 0) else None


class Resent:
    """Looks for the chains of one model's answers. Changes and counts nothing. Any one thread at a time."""

    def __init__(self, store: Store, vocabulary: Vocabulary, block_tokens: int) -> None:
        self._store = store
        self._vocabulary = vocabulary
        self._block_tokens = block_tokens
        self._written: dict[int, bytes] = {}

    def find(self, root: bytes, segments: Segments) -> Findings:
        """The stored chain that ends in generated tokens and whose text goes furthest along a prompt's.

        Its answers begin where the prompt has answers, whatever else the text may spell, and every byte of theirs is
        the prompt's; what stands between was read with the tokens that this prompt would have there. Of two
        that go equally far, it is always the same one. Nothing, if what was read as a prompt goes further.
        """
        found = Findings(root)
        pending = [Place(root, array("I"), 0)] if segments.answers else []
        for _ in range(MAX_PLACES):
            if not pending:
                break
            place = pending.pop()
            reach, following = place.offset, list[Place]()
            for asked in self._asked(place, segments):
                reach = asked.offset
                following, left = self._answers(asked, segments)
                found.left = max(found.left, left)
                if following:
                    break
            if place.key != root and reach > found.reach:
                found.place, found.reach = place, reach
            pending += reversed(following)
        if found.place is not None and found.reach < max(segments.answers) and self._read(root, segments) > found.reach:
            return Findings(root, left=found.left)
        return found

    def _asked(self, place: Place, segments: Segments) -> Iterator[Place]:
        """The stored ends of the prompts that asked for the next answers, each read from the same place on."""
        start = len(place.tokens)
        for answer in segments.answers_after(place.offset):
            stretch = segments.stretch(place.offset, answer)
            tokens = array("I", place.tokens)
            tokens.extend(stretch.tokens)
            ends = self._cuts(start, len(tokens), stretch.breakpoints)
            chain = self._store.chain(place.key, tokens, ends, start=start)
            if chain and len(chain) == len(ends):
                yield Place(chain[-1].key, tokens, answer)
            elif len(chain) < len(ends) - 1:
                return

    def _answers(self, asked: Place, segments: Segments) -> tuple[list[Place], int]:
        """The ends of the generated chains that wrote what follows, each as far as it goes; where others left it."""
        limit = segments.answers[asked.offset]
        ends: list[Place] = []
        left = -1
        pending: list[tuple[Place, Place | None]] = [(asked, None)]
        while pending and len(ends) < MAX_PLACES:
            place, whole = pending.pop()
            children = sorted(self._store.generated(place.key))
            following = [
                next_place for child in children if (next_place := self._after(place, child, segments.data, limit))
            ]
            if children and not following:
                left = max(left, place.offset)
            if not following and whole is not None:
                ends.append(whole)
            for next_place in reversed(following):
                is_whole = segments.is_whole_character(next_place.offset)
                pending.append((next_place, next_place if is_whole else whole))
        return ends, left

    def _after(self, place: Place, child: Child, data: bytes, limit: int) -> Place | None:
        """Where a block of generated tokens ends, if that is within the answer and every byte is the same."""
        tokens = unpack_tokens(child.tokens)
        written = b"".join(map(self._bytes, tokens))
        end = place.offset + len(written)
        if end > limit or not data.startswith(written, place.offset):
            return None
        longer = array("I", place.tokens)
        longer.extend(tokens)
        return Place(child.key(place.key), longer, end)

    def _read(self, root: bytes, segments: Segments) -> int:
        """How far the text goes that was read as a prompt, in whole pieces."""
        whole = segments.whole()
        ends = self._cuts(0, len(whole.tokens), whole.breakpoints)
        chain = self._store.chain(root, whole.tokens, ends)
        end = chain[-1].end if chain else 0
        if end == len(whole.tokens):
            return len(segments.data)
        reached = [offset for at, offset in zip(whole.breakpoints, whole.offsets, strict=True) if at <= end]
        return max(reached, default=0)

    def _cuts(self, start: int, end: int, breakpoints: Iterable[int]) -> list[int]:
        return cuts(end, (start + point for point in breakpoints), block_tokens=self._block_tokens, start=start)

    def _bytes(self, token: int) -> bytes:
        """A token as a prompt writes it; a control token has a text there."""
        written = self._written.get(token)
        if written is None:
            written = self._vocabulary.piece(token) or self._vocabulary.control_text(token).encode()
            self._written[token] = written
        return written
