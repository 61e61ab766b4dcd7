from __future__ import annotations

import msgspec
import pytest
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon, answer, session
from cli.terminal import Terminal

from erllama_daemon.errors import EXIT_FAILED, EXIT_USAGE
from erllama_daemon.messages import Failure, Message, Token


def test_without_a_terminal_standard_input_is_one_message(run: Run, fake: FakeDaemon) -> None:
    fake.answers = [answer("Hm.")]
    done = run("chat", "demo", stdin="First line.\nSecond line.\n")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "Hm.\n", "")
    (request,) = fake.asked
    assert (request.session, request.model) == ("abcd1234", None)
    assert [message.text for message in request.messages] == ["First line.\nSecond line.\n"]
    assert fake.models == ["demo"]


def test_without_a_terminal_and_without_input_it_does_not_wait(run: Run) -> None:
    assert run("chat", "demo").exit_code == EXIT_USAGE


def test_json_is_one_object_a_turn(run: Run, fake: FakeDaemon) -> None:
    fake.answers = [answer("Hm.")]
    done = run("chat", "demo", "--json", stdin="Why?")
    assert done.stdout.count("\n") == 1
    assert msgspec.json.decode(done.stdout)["text"] == "Hm."


def test_continue_goes_on_with_the_last_conversation(run: Run, fake: FakeDaemon) -> None:
    fake.latest = session(Message("user", ["Hi"]), Message("assistant", ["Hello"]), name="ffff0000")
    fake.answers = [answer("Hm.")]
    assert run("chat", "--continue", stdin="Why?").stdout == "Hm.\n"
    assert fake.asked[0].session == "ffff0000"
    assert fake.models == []


def test_continue_without_a_conversation_says_so(run: Run, fake: FakeDaemon) -> None:
    done = run("chat", "--continue", stdin="Why?")
    assert done.exit_code == EXIT_FAILED
    assert done.stderr == "erllama: There is no conversation to continue.\n"
    assert fake.asked == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["demo", "--continue"],
        ["--continue", "--session", "a"],
        ["--continue", "-s", "Be brief."],
        ["--continue", "--private"],
        ["--session", "a", "--private"],
    ],
)
def test_which_conversation_is_meant_must_be_clear(run: Run, arguments: list[str]) -> None:
    done = run("chat", *arguments, stdin="Why?")
    assert done.exit_code == EXIT_USAGE
    assert done.stderr.startswith("erllama: ")


def test_the_system_prompt_goes_with_the_first_turn(run: Run, fake: FakeDaemon) -> None:
    fake.answers, fake.latest = [answer("Hm.")], session()
    run("chat", "demo", "-s", "Be brief.", stdin="Why?")
    assert [message.role for message in fake.asked[0].messages] == ["system", "user"]


def test_at_a_terminal_ctrl_c_stops_an_answer_and_ctrl_d_leaves(fake: FakeDaemon, terminals: list[Terminal]) -> None:
    fake.answers, fake.hangs = [answer("Hm."), [Token("Well")], answer("Yes.")], True
    terminals.append(terminal := Terminal("chat", "demo"))
    terminal.await_text(">>> ")
    terminal.type("Why?\n")
    terminal.await_text("Hm.")
    terminal.await_text(">>> ")
    terminal.type("And now?\n")
    terminal.await_text("Well")
    terminal.type("\x03")
    terminal.await_text(">>> ")
    assert fake.hung_up.wait(10)
    terminal.type("half a line")
    terminal.await_text("half a line")
    # Python sees a signal that comes while readline is not in its select only at the next key.
    terminal.await_text(">>> ", pressing="\x03")
    terminal.type("Sure?\n")
    terminal.await_text("Yes.")
    terminal.await_text(">>> ")
    terminal.type("\x04")
    code, rest = terminal.rest()
    assert code == 0
    assert "erllama chat --session abcd1234" in rest
    assert [request.messages[-1].text for request in fake.asked] == ["Why?", "And now?", "Sure?"]


def test_at_a_terminal_continue_shows_where_it_stood(fake: FakeDaemon, terminals: list[Terminal]) -> None:
    fake.latest = session(
        Message("user", ["Hi"]), Message("assistant", ["Hello"]), unanswered=Message("user", ["Why?"])
    )
    terminals.append(terminal := Terminal("chat", "--continue"))
    terminal.await_text("Llamas (demo, 2 messages)")
    terminal.await_text("Hi")
    terminal.await_text("Hello")
    terminal.await_text("Why?")
    terminal.await_text(">>> ")
    terminal.type("\x04")
    assert terminal.rest()[0] == 0


def test_a_private_conversation_is_forgotten_when_the_command_ends(run: Run, fake: FakeDaemon) -> None:
    fake.answers = [answer("Hm.")]
    assert run("chat", "demo", "--private", stdin="Why?").stdout == "Hm.\n"
    assert (fake.asked[0].session, fake.asked[0].private) == ("private-1", True)
    assert fake.deleted == ["/v1/sessions/private-1"]


def test_a_private_conversation_is_forgotten_when_its_answer_fails_too(run: Run, fake: FakeDaemon) -> None:
    fake.answers = [[Failure("some", "It broke.", None, EXIT_FAILED)]]
    assert run("chat", "demo", "--private", stdin="Why?").exit_code == EXIT_FAILED
    assert fake.deleted == ["/v1/sessions/private-1"]


def test_a_conversation_that_is_kept_is_never_deleted(run: Run, fake: FakeDaemon) -> None:
    fake.answers = [answer("Hm."), answer("Hm.")]
    run("chat", "demo", stdin="Why?")
    run("chat", "demo", "--no-cache", stdin="Why?")
    assert fake.deleted == []


def test_at_a_terminal_a_private_conversation_says_so_and_offers_no_way_back(
    fake: FakeDaemon, terminals: list[Terminal]
) -> None:
    fake.answers = [answer("Hm.")]
    terminals.append(terminal := Terminal("chat", "demo", "--private"))
    terminal.await_text("private: nothing is kept")
    terminal.await_text(">>> ")
    terminal.type("Why?\n")
    terminal.await_text("Hm.")
    terminal.await_text(">>> ")
    terminal.type("\x04")
    code, rest = terminal.rest()
    assert code == 0
    assert "Resume" not in rest
    assert fake.deleted == ["/v1/sessions/private-1"]
