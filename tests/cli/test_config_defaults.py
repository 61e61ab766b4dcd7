"""What `[run]` has `run` and `chat` ask for, and that an option always wins."""

from __future__ import annotations

import msgspec
import pytest
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon, answer
from cli.keeping_daemon import KeepingDaemon
from cli.test_config import configure

from erllama_daemon.errors import EXIT_USAGE
from erllama_daemon.messages import CompleteRequest, ExplainRequest, Sampling

RUN = """\
[run]
model = "demo"
system = "Be brief."
max_tokens = 7
temperature = 0
top_k = 3
top_p = 0.5
min_p = 0.25
repeat_penalty = 1.5
"""


def asked(run: Run, fake: FakeDaemon, *words: str, stdin: str = "") -> CompleteRequest:
    fake.answers.append(answer("I."))
    done = run(*words, stdin=stdin)
    assert (done.exit_code, done.stderr) == (0, "")
    return fake.asked[-1]


def said(request: CompleteRequest) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in request.messages]


def test_run_asks_as_it_is_configured_where_no_option_says_otherwise(run: Run, fake: FakeDaemon) -> None:
    configure(RUN)
    request = asked(run, fake, "run", "demo", "Who?")
    configured = Sampling(temperature=0.0, top_k=3, top_p=0.5, min_p=0.25, repeat_penalty=1.5)
    assert (request.max_tokens, request.sampling) == (7, configured)
    assert said(request) == [("system", "Be brief."), ("user", "Who?")]


def test_an_option_always_wins_also_when_it_says_the_built_in_default(run: Run, fake: FakeDaemon) -> None:
    configure(RUN)
    sampling = ["--temperature=0.8", "--top-k=40", "--top-p=0.95", "--min-p=0.05", "--repeat-penalty=1"]
    request = asked(run, fake, "run", "demo", "Who?", "-n", "1024", *sampling, "-s", "")
    assert (request.max_tokens, request.sampling) == (1024, Sampling())
    assert said(request) == [("user", "Who?")]


def test_the_environment_comes_over_the_file(run: Run, fake: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(RUN)
    monkeypatch.setenv("ERLLAMA_RUN_MAX_TOKENS", "9")
    assert asked(run, fake, "run", "demo", "Who?").max_tokens == 9
    monkeypatch.setenv("ERLLAMA_RUN_MAX_TOKENS", "nine")
    done = run("run", "demo", "Who?")
    assert done.exit_code == EXIT_USAGE
    assert "ERLLAMA_RUN_MAX_TOKENS takes a whole number from 1" in done.stderr


def test_what_goes_on_from_an_earlier_answer_has_begun_without_what_is_configured(
    run: Run, keeping: KeepingDaemon
) -> None:
    begun = asked(run, keeping, "run", "demo", "Who?", "--session", "s")
    assert said(begun) == [("user", "Who?")]
    configure(RUN)
    assert said(asked(run, keeping, "run", "demo", "And?", "--session", "s")) == [("user", "And?")]
    assert said(asked(run, keeping, "chat", "--session", "s", stdin="Why?")) == [("user", "Why?")]
    new = asked(run, keeping, "run", "demo", "Who?", "--session", "t")
    assert said(new) == [("system", "Be brief."), ("user", "Who?")]


def test_what_follows_a_key_has_begun_too(run: Run, fake: FakeDaemon) -> None:
    configure(RUN)
    assert said(asked(run, fake, "run", "demo", "So?", "--parent", "a" * 64)) == [("user", "So?")]


def test_a_chat_without_a_model_begins_with_the_configured_one(run: Run, keeping: KeepingDaemon) -> None:
    assert run("chat", stdin="Who?").exit_code == EXIT_USAGE
    configure(RUN)
    request = asked(run, keeping, "chat", stdin="Who?")
    assert said(request) == [("system", "Be brief."), ("user", "Who?")]
    assert keeping.sessions.latest().model == "demo"
    went_on = asked(run, keeping, "chat", "--continue", stdin="Why?")
    assert (said(went_on), went_on.session) == ([("user", "Why?")], request.session)


def test_explain_puts_the_prompt_together_as_run_does(run: Run, fake: FakeDaemon) -> None:
    configure(RUN)
    run("cache", "explain", "demo", "Who?")
    ((_path, request),) = fake.calls
    assert isinstance(request, ExplainRequest)
    assert [message.text for message in request.messages] == ["Be brief.", "Who?"]


def test_a_wrong_table_stops_run_and_names_the_line(run: Run, fake: FakeDaemon) -> None:
    configure("[run]\ntemprature = 1\n")
    done = run("run", "demo", "Who?", "--json")
    assert done.exit_code == EXIT_USAGE
    assert "line 2: run.temprature: there is no such key" in msgspec.json.decode(done.stdout)["error"]["message"]
    assert fake.asked == []


@pytest.mark.parametrize("text", [None, "", "[cache]\nram_bytes = 1\n"])
def test_who_configures_nothing_of_it_waits_for_nothing(
    run: Run, fake: FakeDaemon, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    if text is not None:
        configure(text)
    monkeypatch.setattr("erllama_cli.config.defaults._read", None)
    asked(run, fake, "run", "demo", "Who?")
