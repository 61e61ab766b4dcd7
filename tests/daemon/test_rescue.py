"""Whatever becomes of the database's file: it opens, nothing wrong comes out of it, and most comes out."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from daemon.first_version import fill_first_version

from erllama_cache.keys import pack_tokens
from erllama_daemon.errors import SessionsTooNew, SessionsUnusable, SessionUnknown
from erllama_daemon.messages import Message
from erllama_daemon.sessions.rescue.aside import BESIDE, rescued_name
from erllama_daemon.sessions.rescue.pages import PAGE_BYTES
from erllama_daemon.sessions.schema import VERSION, open_database, open_to_read
from erllama_daemon.sessions.store import Sessions
from erllama_daemon.sessions.tree import history_of, turns_of, way_to
from erllama_daemon.sessions.turn import Turn

SEED = 5
SESSIONS, TURNS = 30, 10


@dataclass(frozen=True)
class Contents:
    """All that a database says: every text, by conversation and turn, and every chain by its finish key."""

    titles: dict[str, tuple[str | None, str]]
    said: dict[int, tuple[str, ...]]
    chains: dict[bytes, bytes]
    heads: dict[str, int | None]


def contents(path: Path) -> Contents:
    database = open_to_read(path)
    assert database is not None
    with closing(database):
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        rows = database.execute("SELECT id, name, title, head FROM sessions").fetchall()
        said: dict[int, tuple[str, ...]] = {}
        chains: dict[bytes, bytes] = {}
        for session, _name, _title, _head in rows:
            for turn in turns_of(database, session):
                said[turn.id] = (turn.thinking or "", *(message.text for message in turn.messages))
                history = history_of(way_to(database, turn.id))
                assert history is not None
                assert history.finish_key is not None
                if history.tokens:
                    chains[history.finish_key] = history.tokens
    return Contents({row[0]: row[1:3] for row in rows}, said, chains, {row[0]: row[3] for row in rows})


def fill(path: Path) -> None:
    """Conversations with long and short turns, some of which go back and fork."""
    draw = random.Random(SEED)
    sessions = Sessions(path)
    for number in range(SESSIONS):
        session = sessions.create("demo" if number % 2 else "other", f"name {number}" if number % 3 else None).id
        tokens: list[int] = []
        for count in range(TURNS):
            text = f"{number}.{count} " + "".join(draw.choices("abcdefgh ", k=draw.choice((20, 300, 6000))))
            sessions.ask(session, [Message("user", [text])])
            if count == 5 and number % 5 == 0:
                sessions.go_to(session, "3")
                tokens = tokens[:40]
            tokens = [*tokens, *(draw.randrange(49152) for _ in range(draw.choice((10, 80, 900))))]
            sessions.add_turn(
                session,
                Turn(
                    after=sessions.get(session).turn,
                    messages=[Message("user", [text]), Message("assistant", [text[::-1]])],
                    tokens=pack_tokens(tokens),
                    finish_key=draw.randbytes(32),
                    fingerprint=f"{number % 2:064}",
                    thinking=text[:5] if count % 2 else None,
                ),
            )
        if number % 10 == 0:
            sessions.fork(session, turn="2")
    sessions.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "sessions.sqlite3"
    fill(path)
    assert not path.with_name(f"{path.name}-wal").exists()
    return path


@pytest.fixture(scope="module")
def written(whole: Path) -> Contents:
    return contents(whole)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.sqlite3"


def damaged_files(path: Path) -> list[Path]:
    return sorted(file for file in path.parent.glob(f"{path.name}.damaged-*") if not file.name.endswith(BESIDE[1:]))


def check_opens(path: Path, data: bytes, written: Contents) -> Contents:
    """Opens a database that is damaged, and sees that nothing wrong comes out and the damaged file is there."""
    path.write_bytes(data)
    sessions = Sessions(path)
    notice = sessions.notice()
    sessions.close()
    left = contents(path)
    assert left.said.items() <= written.said.items()
    assert left.chains.items() <= written.chains.items()
    for session, called in left.titles.items():
        assert called == written.titles[session] or called[0] is None
    if damaged := damaged_files(path):
        assert [file.read_bytes() for file in damaged] == [data]
        assert notice is not None
        assert str(damaged[0]) in notice
        damaged[0].unlink()
    else:
        assert (left, notice) == (written, None)
    return left


def flipped_bit(data: bytearray, draw: random.Random) -> None:
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)


def flipped_bit_of_the_header(data: bytearray, draw: random.Random) -> None:
    data[draw.randrange(100)] ^= 1 << draw.randrange(8)


def flipped_bit_of_a_page_head(data: bytearray, draw: random.Random) -> None:
    data[draw.randrange(len(data) // PAGE_BYTES) * PAGE_BYTES + draw.randrange(40)] ^= 1 << draw.randrange(8)


def zeroed_bytes(data: bytearray, draw: random.Random) -> None:
    at, size = draw.randrange(len(data)), draw.choice((4, 64, 512))
    data[at : at + size] = bytes(len(data[at : at + size]))


def noise_over_many_pages(data: bytearray, draw: random.Random) -> None:
    at, size = draw.randrange(len(data) // 2), draw.randrange(len(data) // 2)
    data[at : at + size] = draw.randbytes(size)


def bits_everywhere(data: bytearray, draw: random.Random) -> None:
    for _ in range(50):
        flipped_bit(data, draw)


def truncated(data: bytearray, draw: random.Random) -> None:
    del data[draw.randrange(1, len(data)) :]


Harm = Callable[[bytearray, random.Random], None]


@pytest.mark.parametrize(
    "harm",
    [
        flipped_bit,
        flipped_bit_of_the_header,
        flipped_bit_of_a_page_head,
        zeroed_bytes,
        noise_over_many_pages,
        bits_everywhere,
        truncated,
    ],
)
def test_whatever_becomes_of_the_file_nothing_wrong_comes_out(
    whole: Path, written: Contents, path: Path, harm: Harm
) -> None:
    for seed in range(6):
        data = bytearray(whole.read_bytes())
        harm(data, random.Random(seed))
        check_opens(path, bytes(data), written)


@pytest.mark.parametrize("filling", [b"\0", b"\xff", b"\x0d"])
def test_a_page_that_is_lost_costs_what_stood_on_it_alone(
    whole: Path, written: Contents, path: Path, filling: bytes
) -> None:
    data = whole.read_bytes()
    pages = len(data) // PAGE_BYTES
    for number in {0, 1, 2, *random.Random(SEED).sample(range(pages), 5)}:
        at = number * PAGE_BYTES
        left = check_opens(path, data[:at] + filling * PAGE_BYTES + data[at + PAGE_BYTES :], written)
        assert len(left.titles) == len(written.titles)
        assert len(left.said) >= len(written.said) - 15
        assert len(set(written.said) - set(left.said)) < len(written.said) // 10


def test_a_single_bit_in_a_text_is_noticed(whole: Path, written: Contents, path: Path) -> None:
    data = bytearray(whole.read_bytes())
    at = data.index(b"7.3 ")
    data[at + 4] ^= 1
    left = check_opens(path, bytes(data), written)
    assert len(left.said) == len(written.said) - 1


def test_a_turn_whose_parent_is_lost_follows_the_one_before_without_tokens(path: Path) -> None:
    sessions = Sessions(path)
    session = sessions.create("demo").id
    turns = [sessions.add_turn(session, make_turn(sessions, session, number)) for number in range(6)]
    sessions.close()
    data = bytearray(path.read_bytes())
    data[data.index(b"question 2")] ^= 1
    path.write_bytes(data)
    rescued = Sessions(path)
    shown = rescued.get(session)
    assert [message.text for message in shown.messages if message.role == "user"] == [
        f"question {number}" for number in (0, 1, 3, 4, 5)
    ]
    assert shown.turn == turns[-1]
    history, before = rescued.history(session), rescued.history(session, turns[1])
    assert history is not None
    assert before is not None
    assert (history.tokens, before.tokens) == (b"", pack_tokens(range(20)))
    after = rescued.add_turn(session, make_turn(rescued, session, 6))
    again = rescued.history(session)
    rescued.close()
    assert again is not None
    assert (again.tokens, after) == (pack_tokens(range(70)), 7)


def test_tokens_that_are_lost_cost_no_words(path: Path) -> None:
    sessions = Sessions(path)
    session = sessions.create("demo").id
    for number in range(4):
        sessions.add_turn(session, make_turn(sessions, session, number))
    written = sessions.get(session)
    sessions.close()
    data = bytearray(path.read_bytes())
    data[data.index(pack_tokens([14, 15, 16]))] ^= 1
    path.write_bytes(data)
    rescued = Sessions(path)
    read, first = rescued.get(session), rescued.history(session, 1)
    history = rescued.history(session)
    rescued.close()
    assert read.messages == written.messages
    assert history is not None
    assert first is not None
    assert (history.tokens, first.tokens) == (b"", pack_tokens(range(10)))


def test_a_conversation_whose_row_is_lost_is_made_up_from_its_turns(path: Path) -> None:
    sessions = Sessions(path)
    lost, other = (sessions.create("demo", name).id for name in ("lost name", "other name"))
    for session in (lost, other):
        for number in range(2):
            sessions.add_turn(session, make_turn(sessions, session, number))
    written = sessions.get(lost)
    sessions.close()
    data = bytearray(path.read_bytes())
    data[data.index(b"lost name")] ^= 1
    path.write_bytes(data)
    rescued = Sessions(path)
    made, kept = rescued.get(lost), rescued.get(other)
    rescued.close()
    assert (made.messages, made.tokens, made.model) == (written.messages, written.tokens, "demo")
    assert (made.name, made.title, kept.name) == (None, "question 0", "other name")


def test_a_fork_still_knows_the_shared_turns_that_it_went_back_from(path: Path) -> None:
    sessions = Sessions(path)
    origin, other = sessions.create("demo").id, sessions.create("demo", "other name").id
    for number in range(3):
        sessions.add_turn(origin, make_turn(sessions, origin, number))
    fork = sessions.fork(origin).id
    sessions.go_to(fork, "1")
    sessions.delete(origin)
    written = sessions.turns(fork)
    sessions.close()
    data = bytearray(path.read_bytes())
    data[data.index(b"other name")] ^= 1
    path.write_bytes(data)
    rescued = Sessions(path)
    read = rescued.turns(fork)
    with pytest.raises(SessionUnknown):
        rescued.get(other)
    rescued.close()
    assert read == written
    assert [turn.current for turn in read] == [True, False, False]


@pytest.mark.parametrize("after", [0, 1, 2, None])
def test_a_question_without_an_answer_is_rescued_with_the_turn_that_it_follows(path: Path, after: int | None) -> None:
    sessions = Sessions(path)
    session, other = sessions.create("demo").id, sessions.create("demo", "other name").id
    for number in range(3):
        sessions.add_turn(session, make_turn(sessions, session, number))
    sessions.ask(session, [Message("user", ["once more?"])], after)
    written = sessions.get(session)
    sessions.close()
    data = bytearray(path.read_bytes())
    data[data.index(b"other name")] ^= 1
    path.write_bytes(data)
    rescued = Sessions(path)
    read = rescued.get(session)
    with pytest.raises(SessionUnknown):
        rescued.get(other)
    rescued.close()
    assert read == written
    assert read.asked_after == after


def test_a_number_that_a_lost_turn_had_is_given_to_no_other(path: Path) -> None:
    sessions = Sessions(path)
    session = sessions.create("demo").id
    for number in range(3):
        last = sessions.add_turn(session, make_turn(sessions, session, number))
    sessions.close()
    data = bytearray(path.read_bytes())
    data[data.index(b"question 2")] ^= 1
    path.write_bytes(data)
    rescued = Sessions(path)
    assert rescued.get(session).turn == last - 1
    assert rescued.add_turn(session, make_turn(rescued, session, 3)) > last
    rescued.close()


@pytest.fixture
def killed(tmp_path: Path, path: Path) -> str:
    """A database as a process leaves it that is killed: two of six turns are in the log alone."""
    sessions = Sessions(tmp_path / "live" / "sessions.sqlite3")
    session = sessions.create("demo").id
    for number in range(4):
        sessions.add_turn(session, make_turn(sessions, session, number, padding=3000))
    sessions._database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for number in (4, 5):
        sessions.add_turn(session, make_turn(sessions, session, number, padding=3000))
    for end in BESIDE[:2]:
        shutil.copy(tmp_path / "live" / f"sessions.sqlite3{end}", f"{path}{end}")
    sessions.close()
    return session


def questions(path: Path, session: str) -> list[str]:
    sessions = Sessions(path)
    said = [message.parts[0] for message in sessions.get(session).messages if message.role == "user"]
    sessions.close()
    return said


def test_turns_that_are_only_in_the_log_are_rescued_too(path: Path, killed: str) -> None:
    log, data = path.with_name(f"{path.name}-wal").read_bytes(), bytearray(path.read_bytes())
    assert b"question 5" in log
    assert b"question 5" not in data
    data[data.index(b"question 1")] ^= 1
    path.write_bytes(data)
    assert questions(path, killed) == [f"question {number}" for number in (0, 2, 3, 4, 5)]
    (damaged,) = damaged_files(path)
    assert damaged.read_bytes() == data
    assert damaged.with_name(f"{damaged.name}-wal").read_bytes() == log


def test_a_log_that_is_damaged_costs_what_it_alone_held(path: Path, killed: str) -> None:
    log = path.with_name(f"{path.name}-wal")
    files = path.read_bytes(), log.read_bytes()
    for seed in range(20):
        draw, harmed = random.Random(seed), bytearray(files[1])
        draw.choice((flipped_bit, zeroed_bytes, truncated))(harmed, draw)
        path.write_bytes(files[0])
        log.write_bytes(harmed)
        said = questions(path, killed)
        assert said == [f"question {number}" for number in range(len(said))]
        assert len(said) >= 4


def test_what_was_deleted_does_not_come_back(whole: Path, written: Contents, path: Path) -> None:
    shutil.copy(whole, path)
    sessions = Sessions(path)
    for summary in sessions.summaries()[::2]:
        sessions.delete(summary.id)
    sessions.close()
    left = contents(path)
    gone = [text for turn in written.said.keys() - left.said.keys() for text in written.said[turn][1:]]
    data = path.read_bytes()
    assert len(gone) > 200
    assert [text for text in gone if text[:1000].encode() in data] == []
    path.write_bytes(b"\0" * PAGE_BYTES + data[PAGE_BYTES:])
    rescued = Sessions(path)
    assert rescued.notice() is not None
    rescued.close()
    again = contents(path)
    assert (again.said, again.heads, again.titles) == (left.said, left.heads, left.titles)


def test_a_file_that_is_no_database_is_kept_and_a_new_one_made(path: Path) -> None:
    path.write_bytes(b"not a database" * 100)
    sessions = Sessions(path)
    assert sessions.summaries() == []
    assert "0 conversations with 0 turns" in (sessions.notice() or "")
    sessions.create("demo")
    sessions.close()
    (damaged,) = damaged_files(path)
    assert damaged.read_bytes() == b"not a database" * 100


def test_the_user_hears_of_a_rescue_until_the_damaged_file_is_deleted(path: Path) -> None:
    path.write_bytes(b"not a database" * 100)
    for _ in range(2):
        sessions = Sessions(path)
        assert sessions.notice() is not None
        sessions.close()
    damaged_files(path)[0].unlink()
    sessions = Sessions(path)
    assert sessions.notice() is None
    sessions.close()


def test_two_rescues_within_a_second_keep_both_files(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.0)
    for content in (b"one" * 100, b"two" * 100):
        path.write_bytes(content)
        Sessions(path).close()
    assert {file.read_bytes()[:3] for file in damaged_files(path)} == {b"one", b"two"}


def test_a_rescue_that_was_stopped_between_the_files_is_finished(tmp_path: Path, path: Path, whole: Path) -> None:
    """The old one is moved or not, with its log or without: what was rescued takes its place."""
    for moved in range(len(BESIDE) + 1):
        folder = tmp_path / str(moved)
        folder.mkdir()
        here = folder / path.name
        shutil.copy(whole, rescued_name(here, "20300101T000000Z"))
        for number, end in enumerate(BESIDE):
            name = f"{here.name}.damaged-20300101T000000Z" if number < moved else here.name
            (folder / f"{name}{end}").write_bytes(b"damaged" + end.encode())
        open_database(here).close()
        assert contents(here) == contents(whole)
        kept = {end: (folder / f"{here.name}.damaged-20300101T000000Z{end}").read_bytes() for end in BESIDE}
        assert kept == {end: b"damaged" + end.encode() for end in BESIDE}
        assert list(folder.glob("*.rescued-*")) == []


def test_without_room_for_the_rescue_all_stays_as_it_is(
    path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytes(PAGE_BYTES) + whole.read_bytes()[PAGE_BYTES:]
    path.write_bytes(data)

    def fail(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("erllama_daemon.sessions.rescue.rescue._fill", fail)
        with pytest.raises(SessionsUnusable, match="No space left"):
            Sessions(path)
    assert path.read_bytes() == data
    assert {file.name for file in path.parent.iterdir()} == {path.name, f"{path.name}.lock"}
    Sessions(path).close()
    assert len(contents(path).said) > 250


def test_one_of_a_newer_version_is_no_damage(path: Path, whole: Path) -> None:
    shutil.copy(whole, path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("ALTER TABLE sessions ADD COLUMN mood TEXT")
        database.execute(f"PRAGMA user_version={VERSION + 1}")
    data = path.read_bytes()
    with pytest.raises(SessionsTooNew):
        Sessions(path)
    assert path.read_bytes() == data
    assert damaged_files(path) == []


def test_whoever_does_not_rescue_names_the_damage(path: Path) -> None:
    path.write_bytes(b"not a database" * 100)
    for unable in (open_database, open_to_read):
        with pytest.raises(SessionsUnusable, match="not a database") as raised:
            unable(path)
        assert raised.value.hint is not None
        assert "erllama daemon stop" in raised.value.hint
    assert path.read_bytes() == b"not a database" * 100


def test_a_damage_that_shows_in_the_middle_of_the_work_is_named_and_rescued_by_the_next_start(
    path: Path, whole: Path
) -> None:
    shutil.copy(whole, path)
    sessions = Sessions(path)
    session = sessions.summaries()[0].id
    data = path.read_bytes()
    path.write_bytes(b"\xff" * len(data))
    sessions._database.connection.execute("PRAGMA shrink_memory")
    with pytest.raises(SessionsUnusable) as raised:
        for other in sessions.summaries("no such text"):
            sessions.get(other.id)
    assert raised.value.hint is not None
    assert "erllama daemon stop" in raised.value.hint
    with pytest.raises(SessionsUnusable):
        sessions.ask(session, [Message("user", ["Still there?"])])
    sessions.close()
    path.write_bytes(data[:8192] + b"\xff" * 4096 + data[12288:])
    again = Sessions(path)
    assert again.get(session).id == session
    again.close()


def test_a_damaged_database_of_the_first_version_is_rescued(path: Path) -> None:
    fill_first_version(path, sessions=5, turns=6)
    data = path.read_bytes()
    path.write_bytes(b"\0" * PAGE_BYTES + data[PAGE_BYTES:])
    sessions = Sessions(path)
    summaries = sessions.summaries()
    histories = [sessions.history(summary.id) for summary in summaries]
    sessions.close()
    assert len(summaries) == 5
    assert [summary.turns for summary in summaries] == [6] * 5
    assert [history is not None and bool(history.tokens) for history in histories] == [True] * 5


def make_turn(sessions: Sessions, session: str, number: int, padding: int = 0) -> Turn:
    return Turn(
        after=sessions.get(session).turn,
        messages=[Message("user", [f"question {number}"]), Message("assistant", [f"answer {number}" + "." * padding])],
        tokens=pack_tokens(range(10 * number + 10)),
        finish_key=bytes([number]) * 32,
        fingerprint="f",
    )
