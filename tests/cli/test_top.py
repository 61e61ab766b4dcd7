"""`erllama top`: a snapshot for a pipe, and a screen that is left as it was found."""

from __future__ import annotations

import json
import signal

import pytest
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon, model_status
from cli.terminal import Screen, Terminal
from conftest import Erllama
from msgspec.structs import replace

from erllama_cli.watching.rates import rates
from erllama_daemon.errors import EXIT_INTERRUPTED, EXIT_UNREACHABLE
from erllama_daemon.messages import Activity, LastMinute, RunningRequest, TierRoom

REQUEST = RunningRequest(
    id=7,
    request_id="req_1",
    model="demo",
    state="generating",
    client="openai",
    age_s=12.0,
    prompt_tokens=2048,
    read_tokens=2048,
    cached_tokens=1792,
    generated_tokens=100,
    tokens_per_s=25.0,
)
READING = replace(
    REQUEST, id=8, state="prefilling", read_tokens=512, cached_tokens=256, generated_tokens=0, tokens_per_s=0
)
ACTIVITY = Activity(
    version="0.1.0",
    uptime_s=61.0,
    requests=[REQUEST, READING],
    models=[model_status()],
    last_minute=LastMinute(
        answers=4, exact=1, partial=2, cold=1, reused_tokens=300, read_tokens=100, generated_tokens=50
    ),
    ram=TierRoom(blocks=3, bytes=512 << 20, quota_bytes=1 << 30),
    disk=TierRoom(blocks=30, bytes=1 << 30, quota_bytes=4 << 30),
)

SNAPSHOT = """\
erllama 0.1.0, up 1 min, 2 requests under way
ram   [####################--------------------]  50 %  512.0 MiB of 1.0 GiB
disk  [##########------------------------------]  25 %  1.0 GiB of 4.0 GiB
hits  75 % in the last minute: 1 exact, 2 in part, 1 cold
reuse 75 % of 400 tokens; 50 generated

model  state       running  waiting  tok/s     memory  ram cache
demo   generating      2/4        3   25.0  136.0 MiB    0 B/0 B

id  model  state          prompt  cached  generated  tok/s   age  client
 7  demo   generating      2,048   1,792        100   25.0  12 s  openai
 8  demo   prefilling  512/2,048     256          0    0.0  12 s  openai
"""


def test_a_pipe_gets_what_there_is_now(run: Run, fake: FakeDaemon) -> None:
    fake.activity = ACTIVITY
    assert run("top").stdout == SNAPSHOT
    assert run("top", "--once", "-n", "5").stdout == SNAPSHOT


def test_each_object_is_a_line_of_its_own(run: Run, fake: FakeDaemon) -> None:
    fake.activity = ACTIVITY
    assert len(run("top", "--json").stdout.splitlines()) == 1
    lines = run("top", "--json", "-n", "3", "--interval", "0.1").stdout.splitlines()
    assert [json.loads(line)["requests"][0]["tokens_per_s"] for line in lines] == [25.0] * 3


def test_without_a_daemon_it_says_so_and_starts_none(erllama: Erllama) -> None:
    done = erllama("top")
    assert (done.returncode, done.stdout) == (EXIT_UNREACHABLE, "")
    assert erllama.processes() == []


def test_how_fast_an_answer_comes_now_is_what_came_since_the_last_look() -> None:
    later = replace(ACTIVITY, uptime_s=63.0, requests=[replace(REQUEST, generated_tokens=180), replace(REQUEST, id=9)])
    assert rates(later, ACTIVITY) == {7: 40.0, 9: 25.0}
    assert rates(ACTIVITY, ACTIVITY) == {7: 25.0, 8: 0.0}


def test_a_terminal_is_drawn_on_again_and_again_and_is_as_before_when_it_is_left(
    fake: FakeDaemon, terminals: list[Terminal]
) -> None:
    fake.activity = ACTIVITY
    screen = Screen("top", "--interval", "0.1", columns=100)
    terminals.append(screen)
    screen.await_lines(lambda lines: any("25.0" in line and "openai" in line for line in lines), "a request")
    fake.activity = replace(ACTIVITY, uptime_s=62.0, requests=[replace(REQUEST, generated_tokens=1333)], models=[])
    screen.await_lines(lambda lines: any("1,333" in line for line in lines), "what came")
    assert "\x1b[?1049h" in screen.seen
    assert screen.modes != screen.modes_at_first
    screen.type("q")
    code, said = screen.rest()
    assert (code, screen.modes) == (0, screen.modes_at_first)
    assert said.rindex("\x1b[?1049l") > said.rindex("\x1b[?1049h")
    assert said.rindex("\x1b[?25h") > said.rindex("\x1b[?25l")


def test_ctrl_c_and_a_daemon_that_goes_leave_the_terminal_as_it_was(
    fake: FakeDaemon, terminals: list[Terminal]
) -> None:
    fake.activity = ACTIVITY
    for ending, code in (("\x03", EXIT_INTERRUPTED), ("", EXIT_UNREACHABLE)):
        screen = Screen("top", "--interval", "0.1", columns=40)
        terminals.append(screen)
        lines = screen.await_lines(lambda lines: any("prefilling" in line for line in lines), "a request")
        assert all(len(line) <= 40 for line in lines)
        assert not any("client" in line for line in lines)
        if ending:
            screen.type(ending)
        else:
            fake.hide()
        ended, said = screen.rest()
        assert (ended, screen.modes) == (code, screen.modes_at_first)
        assert said.rindex("\x1b[?1049l") > said.rindex("\x1b[?1049h")
        fake.listen_again() if not ending else None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_it_leaves_the_terminal_as_it_was(
    fake: FakeDaemon, terminals: list[Terminal], number: signal.Signals
) -> None:
    fake.activity = ACTIVITY
    screen = Screen("top")
    terminals.append(screen)
    screen.await_lines(lambda lines: any("prefilling" in line for line in lines), "a request")
    screen.signal(number)
    ended, said = screen.rest()
    assert (ended, screen.modes) == (-number, screen.modes_at_first)
    assert said.rindex("\x1b[?1049l") > said.rindex("\x1b[?1049h")


@pytest.mark.parametrize("options", [(), ("--once",)])
def test_a_terminal_that_cannot_draw_gets_one_look(
    fake: FakeDaemon, terminals: list[Terminal], options: tuple[str, ...]
) -> None:
    fake.activity = ACTIVITY
    terminals.append(Terminal("top", *options, kind="xterm" if options else "dumb"))
    code, said = terminals[0].rest()
    assert code == 0
    assert "generating" in said
    assert "\x1b[?1049h" not in said
