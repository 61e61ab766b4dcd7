"""A conversation that is deleted takes the blocks with it that only it needed, on a cache that is really on a disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cache.samples import make_block
from said import say

from erllama_cache.block import Block
from erllama_cache.disk.tier import DiskTier
from erllama_cache.tending.holdings import Holdings
from erllama_cache.tending.survey import survey
from erllama_daemon.errors import SessionUnknown
from erllama_daemon.messages import Message
from erllama_daemon.sessions.removal import Removal, delete_with_blocks
from erllama_daemon.sessions.store import Sessions


class Home:
    """A disk tier and a database of conversations, whose turns end where blocks do."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "cache"
        self.cache.mkdir()
        self.disk = DiskTier(self.cache, 1 << 30)
        self.disk.open()
        self.sessions = Sessions(folder / "sessions.sqlite3")
        self._names: dict[bytes, str] = {}

    def block(self, name: str, after: Block | None = None) -> Block:
        """A block on disk whose tokens spell its name."""
        block = make_block(list(name.encode()), after)
        self.disk.publish(block)
        self._names[block.key] = name
        return block

    def chat(self, *ends: Block, fork_of: str | None = None) -> str:
        """A conversation with a turn that ends with each block."""
        session = self.sessions.create("demo") if fork_of is None else self.sessions.fork(fork_of)
        said = [Message("user", ["?"]), Message("assistant", ["!"])]
        self.sessions.ask(session.id, said[:1])
        for end in ends:
            say(self.sessions, session.id, said, bytes(4 * end.end), end.key)
        return session.id

    def delete(self, session: str) -> Removal:
        return delete_with_blocks(self.sessions, session, self.cache)

    @property
    def blocks(self) -> set[str]:
        """The names of the blocks on disk, by the index and by the files alike."""
        keys = set(survey(self.cache).rows)
        assert {path.stem for path in self.cache.rglob("*.kv")} == {key.hex() for key in keys}
        return {self._names[key] for key in keys}

    def names(self, keys: list[bytes]) -> set[str]:
        return {self._names.get(key, key.hex()) for key in keys}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    yield made
    made.sessions.close()
    made.disk.close()


def test_all_that_only_one_conversation_used_goes_with_it(home: Home) -> None:
    question = home.block("asked")
    answer = home.block("answered", question)
    alone = home.block("alone")
    session = home.chat(answer)
    size = sum(path.stat().st_size for path in home.cache.rglob("*.kv")) - survey(home.cache).rows[alone.key].file_bytes
    removal = home.delete(session)
    assert home.blocks == {"alone"}
    assert (removal.deleted.turns, removal.deleted.blocks, removal.deleted.bytes) == (1, 2, size)
    assert (removal.deleted.id, removal.deleted.called) == (session, "?")
    assert home.names(removal.keys) == {"asked", "answered"}
    with pytest.raises(SessionUnknown):
        home.sessions.get(session)


def test_a_shared_beginning_stays_until_the_last_one_that_needs_it_goes(home: Home) -> None:
    system = home.block("system")
    one, other = home.chat(home.block("one", system)), home.chat(home.block("other", system))
    home.delete(one)
    assert home.blocks == {"system", "other"}
    home.delete(other)
    assert home.blocks == set()


def test_a_beginning_that_a_prompt_of_no_conversation_extends_stays(home: Home) -> None:
    system = home.block("system")
    home.block("run", system)
    home.delete(home.chat(home.block("one", system)))
    assert home.blocks == {"system", "run"}


def test_the_turns_that_a_fork_shares_stay_and_go_with_the_last_of_both(home: Home) -> None:
    first = home.block("first")
    second = home.block("second", first)
    origin = home.chat(first, second)
    fork = home.chat(home.block("third", second), fork_of=origin)
    later = home.block("later", second)
    say(home.sessions, origin, [Message("user", ["?"]), Message("assistant", ["!"])], b"", later.key)
    assert home.delete(origin).deleted.blocks == 1
    assert home.blocks == {"first", "second", "third"}
    assert home.delete(fork).deleted.turns == 3
    assert home.blocks == set()


def test_the_turns_that_a_fork_went_back_from_keep_their_blocks(home: Home) -> None:
    first = home.block("first")
    origin = home.chat(first, home.block("second", first))
    fork = home.sessions.fork(origin).id
    home.sessions.go_to(fork, "1")
    home.delete(origin)
    assert home.blocks == {"first", "second"}


def test_the_turns_that_the_conversation_itself_went_back_from_go_too(home: Home) -> None:
    first = home.block("first")
    session = home.chat(first, home.block("second", first))
    home.sessions.go_to(session, "0")
    home.delete(session)
    assert home.blocks == set()


def test_what_came_after_its_turns_without_an_answer_goes_too(home: Home) -> None:
    first = home.block("first")
    home.block("and on", home.block("cut off", first))
    home.delete(home.chat(first))
    assert home.blocks == set()


def test_a_pinned_conversation_goes_but_not_what_somebody_pinned_before_it(home: Home) -> None:
    document = home.block("document")
    end = home.block("end", home.block("asked", document))
    with Holdings(home.cache) as holdings:
        holdings.pin([document.key, end.key])
    home.delete(home.chat(end))
    assert home.blocks == {"document"}
    assert survey(home.cache).rows[document.key].is_pinned
    assert [path.name for path in (home.cache / "pins").iterdir()] == [document.key.hex()]


def test_a_conversation_without_blocks_goes_and_its_keys_are_named_all_the_same(home: Home) -> None:
    never_saved = make_block([1])
    removal = home.delete(home.chat(never_saved))
    assert (removal.deleted.turns, removal.deleted.blocks, removal.deleted.bytes) == (1, 0, 0)
    assert removal.keys == [never_saved.key]


def test_a_turn_that_names_a_root_takes_nothing_of_what_others_began_there(home: Home) -> None:
    own, other = home.block("own"), home.block("other")
    session = home.chat(own)
    said = [Message("user", ["?"]), Message("assistant", ["!"])]
    say(home.sessions, session, said, b"", own.root)
    assert other.root == own.root
    home.delete(session)
    assert home.blocks == {"other"}


def test_one_in_which_nothing_was_said_goes(home: Home) -> None:
    session = home.sessions.create("demo", "nothing yet").id
    removal = home.delete(session)
    assert (removal.deleted.called, removal.deleted.turns, removal.keys) == ("nothing yet", 0, [])
    assert home.sessions.summaries() == []


@pytest.mark.parametrize("wrong", ["", "nothing", "%"])
def test_one_that_is_not_there_is_named_and_a_beginning_of_an_id_is_not_enough(home: Home, wrong: str) -> None:
    session = home.chat(home.block("first"))
    for name in (wrong, session[:6]):
        with pytest.raises(SessionUnknown):
            home.delete(name)
    assert home.blocks == {"first"}


def test_a_cache_that_was_deleted_keeps_no_conversation_from_going(tmp_path: Path) -> None:
    with closing(Sessions(tmp_path / "sessions.sqlite3")) as sessions:
        session = sessions.create("demo").id
        say(sessions, session, [Message("user", ["?"]), Message("assistant", ["!"])], bytes(4), b"k" * 32)
        removal = delete_with_blocks(sessions, session, tmp_path / "no cache")
    assert (removal.deleted.turns, removal.deleted.blocks) == (1, 0)
    assert not (tmp_path / "no cache").exists()
