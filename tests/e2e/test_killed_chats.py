"""A scripted chat that is killed again and again: what was printed in full is kept, and goes on as if nothing had been.

Everybody is killed in each part of an answer, printed as text and as JSON; the order, and the moment within the part,
are drawn. A moment may be one in time: nothing here depends on what happened before it, for every turn is either there,
whole, or it is not.
"""

from __future__ import annotations

import itertools
import os
import random
import sqlite3
import subprocess
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from conftest import Erllama, kill_all
from models import REAL, ModelUnderTest
from scripted import answer, client, move_home, new_tokens, say
from tiny_models import TinyModel

from erllama_cache.tending.verification import verify
from erllama_daemon.directories import user_directories
from erllama_daemon.messages import CompleteRequest, Message, Sampling, SessionTurn, Stats

VICTIMS = ("command", "worker", "daemon", "everything")
PARTS = 3
"""Of the time in which a command runs, and a little more."""

ROLES = {"worker": b"erllama_daemon.worker", "daemon": b"erllama_daemon\0"}
"""What the command line of a process holds that nobody else's does."""

KILLS_A_CONVERSATION = 12


@dataclass(frozen=True)
class Kill:
    """Who is killed, in which part of an answer, and whether that is printed as JSON."""

    victim: str
    part: int
    as_json: bool


ALL_KILLS = tuple(itertools.starmap(Kill, itertools.product(VICTIMS, range(PARTS), (False, True))))


@dataclass(frozen=True)
class Ask:
    """A question that was asked, and what its command printed of the answer before it ended.

    `stats` are those of an answer that was printed as JSON, `printed` is the text of any other. An answer that is
    `whole` was printed in full.
    """

    question: str
    whole: bool
    printed: bytes = b""
    stats: Stats | None = None


@dataclass
class Tormented:
    """Conversations in which everything is killed, and what must be in them."""

    erllama: Erllama
    model: str
    draw: random.Random
    answer_tokens: int
    session: str = ""
    asked: int = 0
    kept: dict[str, list[tuple[Ask, SessionTurn]]] = field(default_factory=dict)
    open: list[Ask] = field(default_factory=list)
    took_s: float = 1.0

    def question(self) -> str:
        """One that nobody has asked before."""
        self.asked += 1
        return f"Why {self.asked}?"

    def begin(self) -> None:
        """Begins another conversation."""
        self.undisturbed(self.model)

    def undisturbed(self, *where: str) -> None:
        """A turn during which nobody is killed; then everything that was asked so far is looked for."""
        question, started = self.question(), time.monotonic()
        turn = say(question, *where, max_tokens=self.answer_tokens // 4)
        self.took_s = time.monotonic() - started
        self.session = turn.session or ""
        self.open.append(Ask(question, True, stats=turn))
        kept = self.kept.setdefault(self.session, [])
        turns = client().turns(client().session(self.session))
        assert [each.parent for each in turns] == [None, *(each.id for each in turns[:-1])]
        assert [each.id for each in turns[: len(kept)]] == [each.id for _ask, each in kept]
        found = turns[len(kept) :]
        for ask in self.open:
            if found and found[0].messages[0].text == ask.question:
                kept.append((ask, check_kept(ask, found.pop(0))))
            else:
                assert not ask.whole, f"{ask.question} was answered, but is not there"
        assert found == []
        assert turn.cached_tokens == (turns[-2].tokens if len(turns) > 1 else 0), turn.cache_note
        self.open.clear()

    def go_on(self) -> None:
        """Goes on with the conversation, in one way or the other."""
        self.undisturbed(*self.draw.choice((("--continue",), ("--session", self.session))))

    def kill_once(self, kill: Kill) -> None:
        """Asks, and kills somebody while the answer is on its way, or when it is there."""
        question, script = self.question(), self.erllama.home / "question"
        script.write_text(question)
        where = self.draw.choice((("--continue",), ("--session", self.session)))
        shape = ("--json", "--logits-digest") if kill.as_json else ()
        with script.open("rb") as stdin:
            command = self.erllama.start("chat", *where, *shape, "-t", "0", "-n", str(self.answer_tokens), stdin=stdin)
        printed = self._wait_for_moment(command, kill)
        victim = self._kill(command, kill.victim)
        rest, _complaint = command.communicate(timeout=60)
        printed += rest
        if kill.as_json:
            stats = (
                msgspec.json.decode(printed, type=Stats) if printed.endswith(b"}\n") and b'"text"' in printed else None
            )
            ask = Ask(question, stats is not None, stats=stats)
        else:
            ask = Ask(question, command.returncode == 0, printed=printed)
        self.open.append(ask)
        if victim != "command" and self.draw.random() < 0.5:
            self._check_unanswered(ask)

    def _wait_for_moment(self, command: subprocess.Popen[bytes], kill: Kill) -> bytes:
        assert command.stdout is not None
        moment = 1.2 * self.draw.uniform(kill.part, kill.part + 1) / PARTS
        if kill.as_json:
            with suppress(subprocess.TimeoutExpired):
                command.wait(moment * self.took_s)
            return b""
        printed, wanted = b"", int(moment * self.answer_tokens)
        while len(printed) < wanted and (more := os.read(command.stdout.fileno(), wanted - len(printed))):
            printed += more
        return printed

    def _kill(self, command: subprocess.Popen[bytes], victim: str) -> str:
        """Kills somebody, or everybody if they have ended; gives who that was."""
        if victim == "command" and command.poll() is None:
            command.kill()
        elif victim in ROLES and (found := self._processes(ROLES[victim])):
            kill_all(found)
        else:
            victim = "everything"
            self.erllama.kill_everything()
        return victim

    def _processes(self, role: bytes) -> list[int]:
        found = []
        for process in self.erllama.processes():
            try:
                if role in Path(f"/proc/{process}/cmdline").read_bytes():
                    found.append(process)
            except OSError:
                continue
        return found

    def _check_unanswered(self, ask: Ask) -> None:
        """What was asked last is in the conversation, as a turn or as a question that still lacks its answer."""
        session = client().session(self.session)
        if session.messages[-2].text == ask.question:
            return
        assert not ask.whole
        if ask.printed.strip():
            assert session.unanswered is not None
        if session.unanswered is not None:
            assert session.unanswered.text in {each.question for each in self.open}


def check_kept(ask: Ask, turn: SessionTurn) -> SessionTurn:
    """Whether a turn is what was printed of it, as far as that went."""
    question, said = turn.messages
    assert (question.role, said.role) == ("user", "assistant")
    text = said.text.encode()
    if ask.stats is not None:
        assert (said.text, turn.finish_key, turn.id) == (ask.stats.text, ask.stats.finish_key, ask.stats.turn)
    elif ask.whole:
        assert ask.printed in (text, text + b"\n")
    else:
        assert text.startswith(ask.printed.removesuffix(b"\n"))
    return turn


def check_files(erllama: Erllama) -> None:
    """Whether everything on the disk is sound."""
    assert erllama("daemon", "stop").returncode == 0
    databases = [path for path in erllama.home.rglob("*.db*") if path.suffix == ".db"]
    databases += erllama.home.rglob("*.sqlite3")
    assert len(databases) >= 2
    for path in databases:
        with closing(sqlite3.connect(path)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert list(erllama.home.rglob("*.tmp")) == []
    assert verify(user_directories().cache).is_clean
    checked = erllama("cache", "verify")
    assert checked.returncode == 0, checked.stdout


def check_same_undisturbed(model: str, turns: list[tuple[Ask, SessionTurn]]) -> None:
    """Whether a conversation of the same turns in which nobody is killed is the same, bit for bit."""
    session, said, ended, tokens = client().new_session(model).id, list[Message](), False, 0
    for ask, turn in turns:
        question = turn.messages[0]
        read = tokens + new_tokens(client(), model, said, question.text, ended=ended)
        again = answer(
            CompleteRequest(
                session=session,
                messages=[question],
                max_tokens=turn.tokens - read,
                sampling=Sampling(temperature=0.0),
                logits_digest=True,
            )
        )
        assert (again.text, again.finish_key) == (turn.messages[1].text, turn.finish_key)
        if ask.stats is not None:
            assert again.logits_digest == ask.stats.logits_digest
        said, ended, tokens = [*said, *turn.messages], again.finish_reason == "stop", turn.tokens


def torment(erllama: Erllama, model: str, seed: int, kills: int, answer_tokens: int) -> Tormented:
    """Conversations in which there were so many kills, no two of them alike."""
    tormented = Tormented(erllama, model, random.Random(seed), answer_tokens)
    drawn = tormented.draw.sample(ALL_KILLS, kills)
    for first in range(0, kills, KILLS_A_CONVERSATION):
        left = drawn[first : first + KILLS_A_CONVERSATION]
        tormented.begin()
        while left:
            for _ in range(min(len(left), tormented.draw.choice((1, 2, 3)))):
                tormented.kill_once(left.pop())
            tormented.go_on()
    return tormented


def check_all(erllama: Erllama, tormented: Tormented, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether all that is left of it is sound, and as it would be without the killing."""
    check_files(erllama)
    move_home(erllama, monkeypatch, "undisturbed")
    for turns in tormented.kept.values():
        check_same_undisturbed(tormented.model, turns)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("model", [TinyModel.DENSE.value], indirect=True)
@pytest.mark.parametrize("seed", range(2))
def test_a_kill_of_everybody_in_every_part_of_an_answer_loses_no_turn_that_was_printed_and_changes_no_bit(
    erllama: Erllama, model: ModelUnderTest, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_all(erllama, torment(erllama, model.argument, seed, len(ALL_KILLS), 100), monkeypatch)


@pytest.mark.parametrize("model", [REAL], indirect=True)
def test_kills_at_random_moments_of_a_chat_with_a_real_model_lose_no_turn_that_was_printed(
    erllama: Erllama, model: ModelUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_all(erllama, torment(erllama, model.argument, 4, 8, 40), monkeypatch)
