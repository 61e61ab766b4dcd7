"""What a long chat writes to the cache, turn by turn, beside what a snapshot of all of it at each turn would.

The chat is a real one with the real model, of words that the bench draws. A snapshot's size is that of the state that
llama.cpp hands out for all tokens up to the end of a turn, without logits.
"""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path

import msgspec
from figures import Goal, Measurement
from own_daemon import COMMAND, MODEL, OwnDaemon, own_daemon
from restore_speed import real_buffer

from erllama_cache.ref import BlockRef
from erllama_cache.store import Store
from erllama_daemon.directories import user_directories
from erllama_daemon.messages import CompleteRequest, DetokenizeRequest, Done, Message, ModelOptions, Sampling, Stats

ANSWER_TOKENS = 8
TURN_FRAME_TOKENS = 12
"""About what the chat template puts around a message and its answer."""
WORDS = "a llama hums by the river and the old bridge keeps its name while snow falls over quiet green hills"


class ChatBytes(msgspec.Struct, frozen=True, kw_only=True):
    """After each turn: tokens in the chat, bytes written so far, and bytes that snapshots so far would have taken."""

    tokens: list[int]
    written: list[int]
    snapshots: list[int]

    @property
    def measurement(self) -> Measurement:
        """How many times more the snapshots are."""
        what = f"bytes of {len(self.tokens)} snapshots over bytes written, chat of {self.tokens[-1]:,} tokens"
        return Measurement(what=what, unit="×", samples=[self.snapshots[-1] / self.written[-1]], goal=Goal(">=", 15.0))


def measure_long_chat(turns: int, tokens: int) -> ChatBytes:
    """Holds the chat, and gives its bytes."""
    with own_daemon(ModelOptions(context_size=tokens + tokens // turns)) as daemon:
        session = daemon.client.new_session(MODEL).id
        lengths, written, finish_keys = [0], [], []
        before = _bytes_written()
        for turn in range(1, turns + 1):
            text = _words(daemon, tokens * turn // turns - lengths[-1] - TURN_FRAME_TOKENS - ANSWER_TOKENS, turn)
            stats = _say(daemon, session, text)
            assert stats.saved == "published"
            lengths.append(daemon.client.session(session).tokens)
            written.append(_bytes_written() - before)
            finish_keys.append(bytes.fromhex(stats.finish_key))
            print(f"chat: turn {turn} of {turns}, {lengths[-1]:,} tokens, {written[-1]:,} bytes", flush=True)
        sizes = _snapshot_bytes(user_directories().cache, finish_keys, lengths[-1])
    return ChatBytes(
        tokens=lengths[1:], written=written, snapshots=[sum(sizes[: turn + 1]) for turn in range(len(sizes))]
    )


def _words(daemon: OwnDaemon, count: int, seed: int) -> str:
    """A text of about so many tokens."""
    drawn, words = random.Random(seed), WORDS.split()  # noqa: S311 - nothing secret
    tokens = daemon.tokenize(" ".join(drawn.choice(words) for _ in range(count)))[: max(1, count)]
    return daemon.client.detokenize(DetokenizeRequest(model=MODEL, tokens=tokens)).text


def _say(daemon: OwnDaemon, session: str, text: str) -> Stats:
    request = CompleteRequest(
        session=session,
        messages=[Message("user", [text])],
        max_tokens=ANSWER_TOKENS,
        sampling=Sampling(temperature=0.0),
    )
    *_, last = daemon.client.complete(request)
    assert isinstance(last, Done)
    return last.stats


def _bytes_written() -> int:
    done = subprocess.run([*COMMAND, "cache", "stats", "--json"], stdout=subprocess.PIPE, check=True)
    return int(json.loads(done.stdout)["counters"]["bytes_written"])


def _snapshot_bytes(directory: Path, finish_keys: list[bytes], tokens: int) -> list[int]:
    """How large the whole state is at the end of each turn: the chain restored, and exported in one piece there."""
    sizes: list[int] = []
    with Store(directory, ram_bytes=0, disk_bytes=1 << 50) as store, real_buffer(tokens) as buffer:
        for ref in _chain(store, finish_keys[-1]):
            block = store.load(ref)
            assert block is not None
            buffer.restore(0, block.payload, block.start, block.end)
            if block.key in finish_keys:
                sizes.append(buffer.export(0, 0, block.end).nbytes)
    assert len(sizes) == len(finish_keys)
    return sizes


def _chain(store: Store, last: bytes) -> list[BlockRef]:
    """The blocks from the first one to `last`."""
    chain: list[BlockRef] = []
    found = store.find(last)
    while found is not None:
        chain.append(found)
        found = store.find(found.parent)
    return chain[::-1]
