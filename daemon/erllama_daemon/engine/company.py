"""The KV buffer of the requests that generate together, one batch for all of them.

State comes in from the solo buffer when another request needs that. What is computed here depends, in its last bits,
on the company: only generated tokens ever are.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from erllama_daemon.engine.backend import Backend, Buffer, ComputeFailed
from erllama_daemon.engine.generation import Generation, GenerationState, Place

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Seat:
    """A live sequence. `cells` names the run of cells that each block of its chain lies in, and its length.

    Sequences that share a prefix name the same runs.
    """

    number: int
    generation: Generation
    cells: dict[int, int] = field(default_factory=dict)

    @property
    def is_running(self) -> bool:
        """Whether its request is not finished."""
        return self.generation.state is not GenerationState.DONE


class Company:
    """Up to `sequences` live sequences in one buffer, which is created when the first comes in.

    A finished one stays live, to be shared by others with the same beginning, until its cells or its number are
    needed: then the one that finished first goes, after `on_drop` was called with it. Each request holds from the start
    as many cells as it may need.
    """

    def __init__(self, backend: Backend, sequences: int, on_drop: Callable[[Generation], None]) -> None:
        self._backend = backend
        self._sequences = sequences
        self._on_drop = on_drop
        self._buffer: Buffer | None = None
        self._seats: list[Seat] = []
        self._runs = itertools.count()

    @property
    def finished(self) -> list[Generation]:
        """The finished requests whose state is live here, the one that finished first in front."""
        return [seat.generation for seat in self._seats if not seat.is_running]

    @property
    def live_sequences(self) -> int:
        """How many sequences have state here."""
        return len(self._seats)

    def take(self, generation: Generation) -> bool:
        """Moves a request and its state here from where it lies; False if there is no room, and it stays there."""
        lender, shared = self._lender(generation)
        going = self._in_the_way(generation, lender, shared)
        if going is None and lender is not None:  # perhaps the lender itself
            lender, shared = None, 0
            going = self._in_the_way(generation, lender, shared)
        if going is None:
            return False
        for seat in going:
            self.drop(seat.generation)
        try:
            self._move(generation, lender, shared)
        except (ComputeFailed, MemoryError) as error:
            log.warning("a request stays alone: id=%d: %s", generation.id, error)
            generation.must_stay = True
            return False
        return True

    def _move(self, generation: Generation, lender: Seat | None, shared: int) -> None:
        buffer, source, end = self._ready(), generation.where, generation.computed
        seat = Seat(self._free_number(), generation)
        try:
            if lender is not None:
                buffer.share(lender.number, seat.number, shared)
                seat.cells = dict(itertools.islice(lender.cells.items(), _blocks_until(lender.generation, shared)))
            buffer.restore(seat.number, source.buffer.export(source.sequence, shared, end), shared, end)
        except BaseException:
            buffer.remove(seat.number)
            raise
        generation.place, generation.has_company = Place(buffer, seat.number), True
        self._seats.append(seat)
        self.note_block(generation)

    def note_block(self, generation: Generation) -> None:
        """Keeps account of the cells of a request whose chain has grown."""
        seat = self._seat(generation)
        if seat is None:
            return
        start = 0
        for position, link in enumerate(generation.chain):
            if position >= len(seat.cells):
                seat.cells[next(self._runs)] = link.end - start
            start = link.end

    def leave(self, generation: Generation) -> None:
        """Ends a request's hold; its state stays live if it is in blocks to its very end."""
        seat = self._seat(generation)
        if seat is None:
            return
        self._seats.remove(seat)
        if generation.can_stay_live:
            self._seats.append(seat)  # behind those that finished earlier
        elif self._buffer is not None:
            self._buffer.remove(seat.number)

    def drop(self, generation: Generation) -> None:
        """Lets go of a request's state."""
        seat = self._seat(generation)
        if seat is None or self._buffer is None:
            return
        if not seat.is_running:
            self._on_drop(generation)
        self._seats.remove(seat)
        self._buffer.remove(seat.number)
        generation.place = None

    def close(self) -> None:
        """Frees the buffer."""
        if self._buffer is not None:
            self._buffer.close()
        self._buffer, self._seats = None, []

    def _ready(self) -> Buffer:
        if self._buffer is None:
            self._buffer = self._backend.new_buffer(self._sequences, prefills=False)
        return self._buffer

    def _seat(self, generation: Generation) -> Seat | None:
        return next((seat for seat in self._seats if seat.generation is generation), None)

    def _free_number(self) -> int:
        taken = {seat.number for seat in self._seats}
        return next(number for number in range(self._sequences) if number not in taken)

    def _lender(self, generation: Generation) -> tuple[Seat | None, int]:
        """The sequence that begins like the request for longest, and for how many tokens."""
        if not self._backend.facts.shares_prefixes:
            return None, 0
        shared, lender = 0, None
        for seat in self._seats:
            same = _common_end(seat.generation, generation)
            if same > shared:
                shared, lender = same, seat
        return lender, shared

    def _in_the_way(self, generation: Generation, lender: Seat | None, shared: int) -> list[Seat] | None:
        """The finished sequences that must go for the request to fit, the oldest first; None if that is not enough."""
        limit = self._backend.facts.context_size
        needed = min(generation.cells, limit) - shared
        staying, going = list(self._seats), list[Seat]()
        finished = [seat for seat in staying if not seat.is_running and seat is not lender]
        while len(staying) >= self._sequences or self._held_cells(staying) + needed > limit:
            if not finished:
                return None
            going.append(finished.pop(0))
            staying.remove(going[-1])
        return going

    def _held_cells(self, seats: list[Seat]) -> int:
        """Cells that are taken, or promised to a running request; shared ones count once."""
        runs: dict[int, int] = {}
        unchained = 0
        for seat in seats:
            runs |= seat.cells
            if seat.is_running:
                limit = self._backend.facts.context_size
                unchained += max(0, min(seat.generation.cells, limit) - seat.generation.chained)
        return sum(runs.values()) + unchained


def _common_end(live: Generation, generation: Generation) -> int:
    """How many tokens two chains begin with together: whole blocks, and fewer than all that the request has."""
    same = 0
    for ours, theirs in zip(live.chain, generation.chain, strict=False):
        if ours.key != theirs.key or ours.end >= generation.computed:
            break
        same = ours.end
    return same


def _blocks_until(generation: Generation, end: int) -> int:
    return sum(1 for link in generation.chain if link.end <= end)
