"""`erllama sessions`: ls, show, rm, rename and fork, with a daemon that runs and no model."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from cache.samples import make_block
from cli.cached_home import LLAMAS, QUOTA, RIVERS, CachedHome, furnish
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon, session
from cli.terminal import Terminal
from said import say

from erllama_cache.disk.tier import DiskTier
from erllama_daemon.directories import user_directories
from erllama_daemon.errors import EXIT_FAILED, EXIT_USAGE
from erllama_daemon.messages import Failure, Message, SessionList
from erllama_daemon.sessions.store import Sessions
from erllama_daemon.sessions.turn import Turn

NAME = 'the "build": why 🦙'


@pytest.fixture
def home() -> CachedHome:
    return furnish()


@pytest.fixture
def tree(home: CachedHome) -> str:
    """The id of a conversation of three turns, which has gone back from its second turn, and from its third twice."""
    sessions = Sessions(home.directories.sessions)
    begun = sessions.create("/models/a.gguf", NAME).id
    sessions.ask(begun, [Message("user", ["What is a llama?"])])
    _turn(sessions, begun, "What is a llama?", "An animal.", 4, system="Be brief.", thinking="Hm.\nWell.")
    _turn(sessions, begun, "Where?", "There.", 8)
    sessions.go_to(begun, "1")
    _turn(sessions, begun, "Where\nexactly?", "In Peru.\nUp high.", 9)
    for answer in ("First.", "Second.", "Third."):
        sessions.go_to(begun, "2.2")
        _turn(sessions, begun, f"And {answer}", answer, 12)
    sessions.close()
    return begun


def _turn(sessions: Sessions, begun: str, asked: str, said: str, tokens: int, **more: str) -> None:
    head = [Message("system", [more["system"]])] if "system" in more else []
    sessions.add_turn(
        begun,
        Turn(
            after=sessions.get(begun).turn,
            messages=[*head, Message("user", [asked]), Message("assistant", [said])],
            tokens=bytes(4 * tokens),
            finish_key=bytes([tokens]) * 32,
            fingerprint="00",
            thinking=more.get("thinking"),
            finish_reason="cancelled" if said == "Third." else "stop",
        ),
    )


def json_of(run: Run, *arguments: str) -> dict[str, Any]:
    done = run("sessions", *arguments, "--json")
    assert done.exit_code == 0, done.stderr
    result: dict[str, Any] = msgspec.json.decode(done.stdout)
    return result


def test_ls_shows_the_conversations_the_one_used_last_first(run: Run, tree: str) -> None:
    lines = run("sessions", "ls").stdout.splitlines()
    assert lines[0].split() == ["id", "model", "turns", "tokens", "age", "conversation"]
    assert [line.split()[0] for line in lines[1:]] == [tree, RIVERS, LLAMAS]
    assert lines[1].split()[1:4] == ["a.gguf", "3", "12"]
    assert lines[1].endswith(f" s  {NAME}")
    assert lines[3].endswith("  Llamas?")


def test_ls_finds_a_text_in_names_and_in_what_was_said_and_shows_where(run: Run, tree: str) -> None:
    (line,) = run("sessions", "ls", "PERU").stdout.splitlines()[1:]
    assert line.split()[0] == tree
    assert line.endswith("In Peru. Up high.")
    assert [each["id"] for each in json_of(run, "ls", "BUILD")["sessions"]] == [tree]
    (found,) = json_of(run, "ls", "river")["sessions"]
    assert (found["id"], found["found"]) == (RIVERS, "Rivers?")


def test_ls_fits_a_narrow_terminal(run: Run, tree: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    for arguments in ([], ["l"]):
        lines = run("sessions", "ls", *arguments).stdout.splitlines()
        assert len(lines) > 1
        assert all(len(line) <= 40 for line in lines)
        assert any(line.startswith(tree) for line in lines)


def test_an_empty_list_says_how_to_begin_on_a_terminal_alone(run: Run, terminals: list[Terminal]) -> None:
    done = run("sessions", "ls")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")
    assert json_of(run, "ls")["sessions"] == []
    terminals += [Terminal("sessions", "ls"), Terminal("sessions", "ls", "Peru"), Terminal("sessions", "ls", "-q")]
    assert terminals[0].rest() == (0, "There is no conversation yet. Start one with: erllama chat demo\r\n")
    assert terminals[1].rest() == (0, '"Peru" stands in no conversation.\r\n')
    assert terminals[2].rest() == (0, "")


def test_what_befell_the_conversations_is_told_on_a_terminal(
    run: Run, fake: FakeDaemon, terminals: list[Terminal]
) -> None:
    fake.listed = SessionList([], "3 conversations were rescued.")
    terminals.append(Terminal("sessions", "ls"))
    code, seen = terminals[0].rest()
    assert (code, seen.splitlines()[0]) == (0, "3 conversations were rescued.")
    assert json_of(run, "ls")["notice"] == "3 conversations were rescued."
    assert run("sessions", "ls").stderr == ""


def test_show_prints_what_was_said_and_counts_what_was_left(run: Run, tree: str) -> None:
    assert run("sessions", "show", NAME).stdout == (
        f'"{NAME}" ({tree}) · a.gguf · 3 turns · 12 tokens\n'
        f"It went back from 3 turns; see with: erllama sessions show {tree} --all\n\n"
        "--- 1 · system\nBe brief.\n\n"
        "--- 1 · user\nWhat is a llama?\n\n"
        "--- 1 · assistant · 040404040404\nAn animal.\n\n"
        "--- 2.2 · user\nWhere\nexactly?\n\n"
        "--- 2.2 · assistant · 090909090909\nIn Peru.\nUp high.\n\n"
        "--- 3.3 · user\nAnd Third.\n\n"
        "--- 3.3 · assistant · stopped · 0c0c0c0c0c0c\nThird.\n"
    )


def test_show_tells_thinking_and_single_turns_when_asked(run: Run, tree: str) -> None:
    done = run("sessions", "show", tree[:5], "--turn", "1", "--thinking")
    assert "--- 1 · thinking\nHm.\nWell.\n\n--- 1 · assistant" in done.stdout
    assert run("sessions", "show", tree, "--turn", "2.1").stdout == (
        "--- 2.1 · user\nWhere?\n\n--- 2.1 · assistant · 080808080808\nThere.\n"
    )
    assert "In Peru" in run("sessions", "show", tree, "--turn", "2").stdout
    done = run("sessions", "show", tree, "--turn", "9")
    assert (done.exit_code, done.stdout) == (EXIT_FAILED, "")
    assert f"The conversation {tree} has no turn 9." in done.stderr


def test_show_draws_the_tree_with_all_that_was_left(run: Run, tree: str) -> None:
    assert run("sessions", "show", tree, "--all").stdout.splitlines() == [
        f'"{NAME}" ({tree})  a.gguf',
        "└── 1  What is a llama?  040404040404 · 4 tokens",
        "    ├── 2.1  Where?  left · 080808080808 · 8 tokens",
        "    └── 2.2  Where exactly?  090909090909 · 9 tokens",
        "        ├── 3.1  And First.  left · 0c0c0c0c0c0c · 12 tokens",
        "        ├── 3.2  And Second.  left · 0c0c0c0c0c0c · 12 tokens",
        "        └── 3.3  And Third.  goes on here · 0c0c0c0c0c0c · 12 tokens",
    ]


def test_show_as_json_has_everything(run: Run, tree: str) -> None:
    shown = json_of(run, "show", tree)
    assert (shown["session"]["id"], shown["session"]["name"]) == (tree, NAME)
    assert [turn["name"] for turn in shown["turns"]] == ["1", "2.1", "2.2", "3.1", "3.2", "3.3"]
    assert [turn["current"] for turn in shown["turns"]] == [True, False, True, False, False, True]
    assert shown["turns"][0]["thinking"] == "Hm.\nWell."
    assert shown["turns"][1]["finish_key"] == "08" * 32
    assert [turn["name"] for turn in json_of(run, "show", tree, "--turn", "2.1")["turns"]] == ["2.1"]


def test_show_tells_a_question_without_an_answer(run: Run, home: CachedHome) -> None:
    sessions = Sessions(home.directories.sessions)
    sessions.ask(RIVERS, [Message("user", ["And then?"])])
    sessions.close()
    assert run("sessions", "show", RIVERS).stdout.endswith("\n\n--- not answered · user\nAnd then?\n")


def test_what_was_said_does_nothing_to_a_terminal(home: CachedHome, terminals: list[Terminal]) -> None:
    sessions = Sessions(home.directories.sessions)
    say(sessions, RIVERS, [Message("user", ["\x1b[2Ja"]), Message("assistant", ["b\x07\tc"])], bytes(8), b"k" * 32)
    sessions.close()
    terminals.append(Terminal("sessions", "show", RIVERS))
    code, seen = terminals[0].rest()
    assert code == 0
    assert "\x1b[2J" not in seen
    assert "\\x1b[2Ja" in seen
    assert "b\\x07\tc" in seen


@pytest.mark.usefixtures("tree")
def test_an_unknown_name_is_told_with_those_that_are_near(run: Run) -> None:
    for arguments in (["show", "the build: why"], ["rename", "the build: why", "x"], ["fork", "the build: why"]):
        done = run("sessions", *arguments)
        assert (done.exit_code, done.stdout) == (EXIT_FAILED, "")
        assert done.stderr.startswith("erllama: There is no conversation 'the build: why'.\nDid you mean ")
        assert NAME in done.stderr


def test_rm_deletes_with_the_blocks_that_only_it_used(run: Run, home: CachedHome) -> None:
    done = run("sessions", "rm", LLAMAS[:4])
    assert done.exit_code == 0
    assert done.stdout.startswith(f'deleted "Llamas?" ({LLAMAS}): 2 turns, 2 blocks, ')
    assert done.stdout.endswith(" of the cache\n")
    assert home.keys == {home.system.key, home.rivers.key, home.alone.key}
    assert LLAMAS not in run("cache", "ls").stdout
    assert [each["id"] for each in json_of(run, "ls")["sessions"]] == [RIVERS]


@pytest.mark.usefixtures("home")
def test_rm_goes_on_after_a_name_that_nobody_has(run: Run) -> None:
    done = run("sessions", "rm", "nobody", RIVERS, LLAMAS, RIVERS)
    assert done.exit_code == EXIT_FAILED
    assert [line.split()[2] for line in done.stdout.splitlines()] == [f"({RIVERS}):", f"({LLAMAS}):"]
    assert "There is no conversation nobody." in done.stderr
    assert json_of(run, "ls")["sessions"] == []


@pytest.mark.usefixtures("home")
def test_rm_as_json_is_one_object_with_what_went_wrong(run: Run) -> None:
    done = run("sessions", "rm", "nobody", RIVERS, "--json")
    assert done.exit_code == EXIT_FAILED
    (line,) = done.stdout.splitlines()
    report = msgspec.json.decode(line)
    assert [each["id"] for each in report["deleted"]] == [RIVERS]
    assert report["deleted"][0]["blocks"] == 1
    assert [each["code"] for each in report["errors"]] == ["session_unknown"]


@pytest.mark.usefixtures("home")
def test_rm_asks_on_a_terminal_and_yes_answers(run: Run, terminals: list[Terminal]) -> None:
    terminals += [Terminal("sessions", "rm", RIVERS, LLAMAS) for _ in range(2)]
    terminals[0].await_text(f'"Rivers?" ({RIVERS}): 1 turn\r\n"Llamas?" ({LLAMAS}): 2 turns\r\n')
    terminals[0].await_text("Delete 2 conversations? [y/N] ")
    terminals[0].type("\n")
    assert terminals[0].rest() == (EXIT_FAILED, "\r\nNothing was deleted.\r\n")
    assert len(json_of(run, "ls")["sessions"]) == 2
    terminals[1].await_text("[y/N] ")
    terminals[1].type("y\n")
    code, seen = terminals[1].rest()
    assert (code, seen.count("deleted ")) == (0, 2)
    assert json_of(run, "ls")["sessions"] == []


@pytest.mark.usefixtures("home")
def test_rm_asks_nothing_if_told_yes_and_leaves_on_ctrl_c(run: Run, terminals: list[Terminal]) -> None:
    terminals += [Terminal("sessions", "rm", RIVERS), Terminal("sessions", "rm", "-y", LLAMAS)]
    terminals[0].await_text("[y/N] ")
    terminals[0].type("\x03")
    assert terminals[0].rest()[0] == 130
    code, seen = terminals[1].rest()
    assert (code, "[y/N]" in seen) == (0, False)
    assert [each["id"] for each in json_of(run, "ls")["sessions"]] == [RIVERS]


@pytest.mark.usefixtures("home")
def test_a_conversation_gets_a_name_and_loses_it(run: Run) -> None:
    assert run("sessions", "rename", LLAMAS, NAME).stdout == f'renamed "Llamas?" ({LLAMAS}): "{NAME}" ({LLAMAS})\n'
    assert json_of(run, "show", NAME)["session"]["id"] == LLAMAS
    assert json_of(run, "rename", NAME, "build") == {
        "id": LLAMAS,
        "name": "build",
        "title": "Llamas?",
        "before": NAME,
    }
    assert run("sessions", "rename", "build", "").stdout == f'renamed "build" ({LLAMAS}): it has no name any more\n'
    assert json_of(run, "show", LLAMAS)["session"]["name"] is None


@pytest.mark.usefixtures("home")
def test_a_name_that_is_taken_or_cannot_be_one_is_refused(run: Run) -> None:
    run("sessions", "rename", LLAMAS, "build")
    done = run("sessions", "rename", RIVERS, "build")
    assert done.exit_code == EXIT_FAILED
    assert f"There is a conversation called build already: {LLAMAS}." in done.stderr
    assert run("sessions", "rename", RIVERS, LLAMAS).exit_code == EXIT_FAILED
    assert run("sessions", "rename", RIVERS, "two\nlines").exit_code == EXIT_USAGE
    assert run("sessions", "fork", RIVERS, "build").exit_code == EXIT_FAILED
    assert len(json_of(run, "ls")["sessions"]) == 2


def test_a_fork_shares_the_turns_up_to_the_last_or_another(run: Run, tree: str) -> None:
    done = run("sessions", "fork", NAME, "other way")
    forked = json_of(run, "show", "other way")["session"]
    assert done.stdout == (
        f'forked "{NAME}" ({tree}) after 3 turns: "other way" ({forked["id"]})\n'
        "go on with: erllama chat --session 'other way'\n"
    )
    made = json_of(run, "fork", tree, "--turn", "2.1")
    assert (made["name"], made["origin"], made["turns"], made["tokens"]) == (None, tree, 2, 8)
    assert made["finish_key"] == "08" * 32
    assert json_of(run, "show", made["id"])["session"]["messages"][-1]["parts"] == ["There."]
    assert run("sessions", "fork", tree, "--turn", "7").exit_code == EXIT_FAILED


def test_a_fork_keeps_what_it_shares_when_the_other_goes(run: Run, home: CachedHome) -> None:
    run("sessions", "fork", LLAMAS, "mine")
    done = run("sessions", "rm", LLAMAS)
    assert "0 turns, 0 blocks" in done.stdout
    assert home.llamas[-1].key in home.keys
    assert json_of(run, "show", "mine")["session"]["turns"] == 2


def test_what_the_daemon_refuses_is_told(run: Run, fake: FakeDaemon) -> None:
    fake.latest = session()
    fake.refusal = (500, Failure("sessions_unusable", "The sessions cannot be used.", "Wait.", EXIT_FAILED))
    done = run("sessions", "rename", fake.latest.id, "x", "--json")
    assert (done.exit_code, done.stderr) == (EXIT_FAILED, "erllama: The sessions cannot be used.\nWait.\n")
    assert msgspec.json.decode(done.stdout)["error"]["code"] == "sessions_unusable"


def test_cache_ls_takes_a_conversation_by_its_name(run: Run, home: CachedHome) -> None:
    run("sessions", "rename", LLAMAS, "build")
    disk = DiskTier(user_directories().cache, QUOTA)
    disk.open()
    disk.publish(make_block([7], home.system))
    disk.close()
    (line,) = run("cache", "ls", "--session", "build").stdout.splitlines()[1:]
    assert LLAMAS in line
