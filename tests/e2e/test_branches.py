"""A conversation that goes back, forks and tries again: nothing is read twice, and each way is what it would have been
if nobody had ever gone another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import pytest
from conftest import Erllama
from models import REAL, ModelUnderTest
from scripted import COMPARED, GREEDY, answer, client, counters, move_home, new_tokens, read_tokens, say
from tiny_models import TinyModel

from erllama_cache.keys import pack_tokens
from erllama_cli.results.cache import BlockList, CacheTree, Node
from erllama_cli.results.sessions import Removed
from erllama_daemon.messages import CompleteRequest, DeletedSession, Message, Sampling, Stats, TokenizeRequest

MODELS = (REAL, TinyModel.HYBRID.value, TinyModel.SLIDING_WINDOW.value)
SEEDED = ("-t", "2", "--min-p", "0", "--seed", "42")

MARKER = "zanzibarwombats"

every_model = pytest.mark.parametrize("model", MODELS, indirect=True)


@dataclass(frozen=True)
class Asked:
    """One question, and how its answer's tokens are chosen."""

    text: str
    sampling: tuple[str, ...] = GREEDY


@dataclass(frozen=True)
class Way:
    """Some turns of a conversation, each with its answer, from the beginning on."""

    asked: tuple[Asked, ...] = ()
    answered: tuple[Stats, ...] = ()

    def to(self, turn: int) -> Way:
        """Its first turns."""
        return Way(self.asked[:turn], self.answered[:turn])

    @property
    def said(self) -> list[Message]:
        """Its messages."""
        pairs = zip(self.asked, self.answered, strict=True)
        return [
            message
            for asked, answer in pairs
            for message in (Message("user", [asked.text]), Message("assistant", [answer.text]))
        ]

    @property
    def tokens(self) -> int:
        """The length of its chain."""
        return self.answered[-1].prompt_tokens + self.answered[-1].completion_tokens if self.answered else 0

    @property
    def session(self) -> str | None:
        """The conversation in which it was begun."""
        return self.answered[0].session if self.answered else None

    @property
    def last_key(self) -> str:
        """The finish key of its last turn."""
        return self.answered[-1].finish_key


@dataclass(frozen=True)
class Talk:
    """Conversations with one model. `heard` are all the answers, in order."""

    erllama: Erllama
    model: str
    heard: list[Stats] = field(default_factory=list)

    def say(self, way: Way, asked: Asked, session: str | None) -> Way:
        """One more turn of a conversation, or the first one of a new one."""
        where = ("--session", session) if session else (self.model,)
        turn = say(asked.text, *where, sampling=asked.sampling)
        self.heard.append(turn)
        return Way((*way.asked, asked), (*way.answered, turn))

    def go_on(self, way: Way, asked: Asked, session: str | None) -> Way:
        """One more turn, which reads its own new tokens alone."""
        longer = self.say(way, asked, session)
        turn = longer.answered[-1]
        ended = bool(way.answered) and way.answered[-1].finish_reason == "stop"
        assert (turn.cached_tokens, turn.cache_note) == (way.tokens, None)
        assert read_tokens(turn) == new_tokens(client(), self.model, way.said, asked.text, ended=ended)
        return longer

    def again(self, way: Way, asked: Asked, session: str) -> Way:
        """One more turn, whose question was asked before: nothing at all is read."""
        longer = self.say(way, asked, session)
        self._check_exact(longer)
        return longer

    def retry(self, way: Way, asked: Asked, session: str) -> Way:
        """As `again`, greedily, after the last turn of `way`, wherever the conversation stands."""
        request = CompleteRequest(
            session=session,
            after=way.answered[-1].turn,
            messages=[Message("user", [asked.text])],
            max_tokens=8,
            sampling=Sampling(temperature=0.0),
            logits_digest=True,
        )
        self.heard.append(turn := answer(request))
        longer = Way((*way.asked, asked), (*way.answered, turn))
        self._check_exact(longer)
        return longer

    @staticmethod
    def _check_exact(way: Way) -> None:
        turn = way.answered[-1]
        assert (turn.cached_tokens, turn.cache_note) == (turn.prompt_tokens, None)

    def all_of(self, asked: Sequence[Asked]) -> Way:
        """A conversation of these questions alone, typed straight through."""
        way = Way()
        for each in asked:
            way = self.go_on(way, each, way.session)
        return way

    def tokens_read(self) -> int:
        """How many tokens have been read, as the cache counts them."""
        return counters(self.erllama).tokens_prefilled


def questions(*texts: str) -> tuple[Asked, ...]:
    return tuple(Asked(text) for text in texts)


BEFORE = questions("My name is Ada.", "I like rivers.", "What do I like?", "Who am I?", "Name a river.")
ONWARD = questions("Is it long?", "Where does it end?")
ASIDE = questions("Name a llama.", "Does it hum?")
AFTERWARDS = Asked("So what?")


def assert_equal_bit_for_bit(one: Way, other: Way) -> None:
    for turn, same in zip(one.answered, other.answered, strict=True):
        for name in COMPARED:
            assert getattr(turn, name) == getattr(same, name), name


def shown(erllama: Erllama) -> CacheTree:
    """What `cache tree` shows."""
    done = erllama("cache", "tree", "--json")
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode(done.stdout, type=CacheTree)


def ways_in(nodes: Sequence[Node], above: tuple[Node, ...] = ()) -> Iterator[tuple[Node, ...]]:
    """Every way from the beginning of the tree to an end."""
    for node in nodes:
        if node.children:
            yield from ways_in(node.children, (*above, node))
        else:
            yield (*above, node)


def blocks(erllama: Erllama) -> dict[str, str]:
    """The parent of each block on disk."""
    done = erllama("cache", "ls", "--blocks", "--json")
    assert done.returncode == 0, done.stderr
    return {block.key: block.parent for block in msgspec.json.decode(done.stdout, type=BlockList).blocks}


@every_model
def test_branches_read_new_tokens_alone_and_equal_chats_typed_straight_through(
    erllama: Erllama, model: ModelUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = Talk(erllama, model.argument)
    start = talk.all_of(BEFORE)
    session = client().session(start.session or "")
    main = start
    for asked in ONWARD:
        main = talk.go_on(main, asked, session.id)

    read = talk.tokens_read()
    forked = erllama("sessions", "fork", session.id, 'A way "aside": 🦙', "--turn", "5")
    assert forked.returncode == 0, forked.stderr
    fork = client().session('A way "aside": 🦙')
    assert (fork.messages, fork.turns, talk.tokens_read()) == (start.said, 5, read)
    aside = start
    for asked in ASIDE:
        aside = talk.go_on(aside, asked, fork.id)

    third = replace(BEFORE[2], sampling=SEEDED)
    client().go_to(session, "2")
    seeded = talk.again(start.to(2), third, session.id)
    seeded = talk.go_on(seeded, AFTERWARDS, session.id)
    greedy = talk.retry(start.to(2), BEFORE[2], session.id)
    assert_equal_bit_for_bit(greedy, start.to(3))
    greedy = talk.go_on(greedy, AFTERWARDS, session.id)
    assert client().go_to(session, "7").messages == main.said
    main = talk.go_on(main, AFTERWARDS, session.id)
    assert talk.tokens_read() == sum(map(read_tokens, talk.heard))

    (root,) = shown(erllama).roots
    ends = {way[-1].key: way for way in ways_in(root.children)}
    branches = {"main": main, "aside": aside, "seeded": seeded, "greedy": greedy}
    assert set(ends) == {way.last_key for way in branches.values()}
    assert parting(ends, main, aside) == start.tokens
    assert parting(ends, main, seeded) == start.answered[2].prompt_tokens
    assert parting(ends, main, greedy) == start.to(3).tokens
    assert [chat.id for chat in ends[main.last_key][-1].chats] == [session.id]
    assert [chat.id for chat in ends[aside.last_key][-1].chats] == [fork.id]
    drawn = erllama("cache", "tree").stdout
    assert f"chat {session.id}  My name is Ada." in drawn
    assert f'chat {fork.id}  A way "aside": 🦙' in drawn

    for name, way in branches.items():
        move_home(erllama, monkeypatch, name)
        assert_equal_bit_for_bit(way, Talk(erllama, model.argument).all_of(way.asked))


def parting(ends: dict[str, tuple[Node, ...]], one: Way, other: Way) -> int:
    """The position of the last token before two ways part in the tree."""
    pairs = zip(ends[one.last_key], ends[other.last_key], strict=False)
    return max((node.end for node, same in pairs if node.key == same.key), default=0)


def holding(home: Path, marks: Sequence[bytes]) -> list[Path]:
    """The files below a folder in which one of these stands."""
    files = (path for path in home.rglob("*") if path.is_file())
    return [path for path in files if any(mark in path.read_bytes() for mark in marks)]


def delete(erllama: Erllama, session: str) -> DeletedSession:
    """Deletes a conversation and says what went with it."""
    done = erllama("sessions", "rm", session, "--json")
    assert done.returncode == 0, done.stderr
    (deleted,) = msgspec.json.decode(done.stdout, type=Removed).deleted
    return deleted


@pytest.mark.parametrize("model", [REAL], indirect=True)
def test_what_only_a_deleted_branch_held_is_gone_and_the_other_goes_on_bit_for_bit(
    erllama: Erllama, model: ModelUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = Talk(erllama, model.argument)
    start = talk.all_of(BEFORE[:2])
    session = client().session(start.session or "")
    fork = client().fork(session)
    main = talk.go_on(start, ONWARD[0], session.id)
    kept = blocks(erllama)
    secret = Asked(f"Now {MARKER} is the word that I tell nobody.")
    tokens = client().tokenize(TokenizeRequest(model=model.argument, text=f" {MARKER}")).tokens
    marks = [MARKER.encode(), pack_tokens(tokens)]
    assert len(tokens) >= 4
    aside = talk.go_on(start, secret, fork.id)
    aside = talk.go_on(aside, ASIDE[1], fork.id)
    own = set(blocks(erllama)) - set(kept)
    assert len(own) >= 4
    assert holding(erllama.home, marks)

    deleted = delete(erllama, fork.id)
    assert (deleted.turns, deleted.blocks) == (2, len(own))
    assert blocks(erllama) == kept
    assert holding(erllama.home, marks) == []
    main = talk.go_on(main, AFTERWARDS, session.id)
    assert set(kept) < set(blocks(erllama))

    last = delete(erllama, session.id)
    assert (last.turns, blocks(erllama)) == (4, {})
    assert erllama("daemon", "stop").returncode == 0
    assert blocks(erllama) == {}
    assert list(erllama.home.rglob("*.kv")) == []
    assert holding(erllama.home, [*marks, b"rivers"]) == []

    move_home(erllama, monkeypatch, "straight")
    assert_equal_bit_for_bit(main, Talk(erllama, model.argument).all_of(main.asked))
