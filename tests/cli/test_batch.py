"""`run --batch`: which records there are, and what becomes of their answers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from itertools import count
from pathlib import Path
from typing import IO

import msgspec
import pytest
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon, answer

from erllama_cli.batch.asking import InOrder
from erllama_cli.batch.record import Record, read_records
from erllama_cli.batch.splitting import recognized, split
from erllama_cli.failures import EXIT_PIPE_CLOSED
from erllama_cli.options.batch import BatchFormat
from erllama_daemon.errors import (
    EXIT_CONTEXT,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_MODEL,
    EXIT_USAGE,
    BatchUnreadable,
)
from erllama_daemon.messages import Failure, Token

LONG = Failure("context_exceeded", "The prompt is too long.", "Shorten it.", EXIT_CONTEXT)
ONE_BY_ONE = ("--jobs", "1")
"""The scripted daemon has its answers in the order in which it is asked."""


def pieces(*texts: bytes) -> Iterator[bytes]:
    """A stream that ends the test if more of it is read."""
    yield from texts
    pytest.fail("more was read than it takes")


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        ([b'{"prompt": "Why?"}\n'], "jsonl"),
        ([b"\n \n", b'"Wh', b'y?"\n'], "jsonl"),
        ([b"Why?\0"], "nul"),
        ([b"Why\n", b"so?\nI ask", b"\0"], "nul"),
        ([b'{"a": 1,\n', b'"b": 2}\0'], "nul"),
        ([b'"Why?" she said.\n', b"And\0"], "nul"),
    ],
    ids=str,
)
def test_what_records_are_is_known_from_what_they_begin_with(texts: list[bytes], kind: BatchFormat) -> None:
    found, stream = recognized(pieces(*texts))
    assert found == kind
    assert [next(stream) for _ in texts] == texts, "nothing of it is lost"


@pytest.mark.parametrize(
    ("text", "kind"),
    [(b"One.\nTwo.\n", "lines"), (b"", "lines"), (b"12\n", "lines"), (b'["Why?"]\n', "lines"), (b'"Why?"', "jsonl")],
    ids=str,
)
def test_what_records_are_is_known_from_all_of_them(text: bytes, kind: BatchFormat) -> None:
    assert recognized(iter([text]))[0] == kind


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_records_are_split_wherever_their_pieces_end(size: int) -> None:
    text = b"One.\0\0T\nwo.\0Three."
    stream = (text[place : place + size] for place in range(0, len(text), size))
    assert list(split(stream, b"\0")) == [b"One.", b"", b"T\nwo.", b"Three."]


def test_a_record_and_a_search_for_its_end_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("erllama_cli.batch.splitting.DOCUMENT_BYTES_LIMIT", 1 << 17)
    with pytest.raises(BatchUnreadable, match="more than"):
        list(split((b"x" * 70_000 for _ in count()), b"\0"))
    with pytest.raises(BatchUnreadable, match="--batch-format lines"):
        recognized(b"line\n" * 13_000 for _ in count())


def test_what_records_are_is_sought_in_so_many_bytes_however_small_the_pieces_are() -> None:
    lines = [b"Why?\n"] * 1100
    found, stream = recognized(iter(lines))
    assert (found, [*stream]) == ("lines", lines)


@pytest.mark.parametrize(
    ("text", "kind", "found"),
    [
        (b'\xef\xbb\xbf{"prompt": "Why?"}\r\n', "jsonl", [("Why?", None)]),
        (b"\xef\xbb\xbfWhy?\r\n\r\nHow?\r\n", "lines", [("Why?", None), ("How?", None)]),
        (b'{"prompt": "\xff"}\n"How?"', "jsonl", [("", "it is not UTF-8 text (byte 0)"), ("How?", None)]),
        (b"[" * 100_000 + b"\nHow?", "lines", [("[" * 100_000, None), ("How?", None)]),
        (
            b'"Why?"\n{"prompt": "", "json_schema": {"a": ' + b"[" * 100_000 + b'\n"How?"',
            "jsonl",
            [("Why?", None), ("", "it is nested too deeply"), ("How?", None)],
        ),
    ],
    ids=["mark and JSON", "mark and lines", "no UTF-8", "a deep line", "a deep record"],
)
def test_odd_records_stop_no_other(text: bytes, kind: BatchFormat, found: list[tuple[str, str | None]]) -> None:
    recognized_as, records = read_records(iter([text]), None)
    reasons = [(each.prompt, each.failure and each.failure.details["reason"]) for each in records]
    assert (recognized_as, reasons) == (kind, found)


def test_a_record_comes_as_soon_as_it_ends() -> None:
    kind, records = read_records(pieces(b'"One"\n"Two"\n"Thr'), None)
    assert (kind, next(records), next(records)) == ("jsonl", Record(1, "One"), Record(2, "Two"))
    _, records = read_records(pieces(b"One\n"), "lines")
    assert next(records) == Record(1, "One")


def test_each_line_is_a_document_before_the_prompt_and_is_answered_in_order(run: Run, fake: FakeDaemon) -> None:
    fake.answers = [answer("Hello, An", "n!"), answer("Hi\nBob!\n"), answer("")]
    done = run("run", "demo", "--batch", "-", "Greet:", "-s", "Be brief.", *ONE_BY_ONE, stdin="Ann\n\nBob\nCy")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "Hello, Ann!\nHi\nBob!\n\n", "")
    assert [[message.parts for message in asked.messages] for asked in fake.asked] == [
        [["Be brief."], [name, "\n\nGreet:"]] for name in ("Ann", "Bob", "Cy")
    ]


def test_files_and_what_is_piped_in_go_before_each_record(run: Run, fake: FakeDaemon, tmp_path: Path) -> None:
    (tmp_path / "names").write_text("Ann\nBob\n")
    (tmp_path / "style").write_text("Be brief.")
    fake.answers = [answer("Hi."), answer("Hi.")]
    run("run", "demo", "--batch", f"{tmp_path}/names", "-f", f"{tmp_path}/style", *ONE_BY_ONE, stdin="A list:")
    assert [asked.messages[0].parts for asked in fake.asked] == [
        ["Be brief.", "\n\nA list:", f"\n\n{name}"] for name in ("Ann", "Bob")
    ]


def test_records_that_end_in_nul_have_answers_that_do(run: Run, fake: FakeDaemon) -> None:
    fake.answers = [answer("One.\n"), [Token("Tw"), LONG], answer(""), answer("Four")]
    done = run("run", "demo", "--batch", "-", *ONE_BY_ONE, stdin="a\nb\0c\0\0d\0e\0")
    assert (done.stdout, done.exit_code) == ("One.\n\0Tw\0\0\0Four\0", EXIT_FAILED), "of different failures"
    assert done.stderr.splitlines() == [
        "erllama: record 2: The prompt is too long.",
        "Shorten it.",
        "erllama: record 3: The prompt is empty.",
        "Give it on standard input or, to `erllama run`, as an argument.",
    ]


def test_answers_to_anything_end_in_nul_if_that_is_asked_for(run: Run, fake: FakeDaemon) -> None:
    fake.answers = [answer("One."), answer("Two."), answer("Three.")]
    assert run("run", "demo", "--batch", "-", "-0", *ONE_BY_ONE, stdin="a\nb").stdout == "One.\0Two.\0"
    assert run("run", "demo", "--batch", "-", "-0", *ONE_BY_ONE, stdin='"a"\n').stdout == "Three.\0"


def test_json_lines_are_answered_with_json_lines(run: Run, fake: FakeDaemon) -> None:
    fake.answers = [answer("One."), [LONG], answer("Three.")]
    lines = [
        '"a"',
        '{"prompt": "b", "id": "of b"}',
        '{"prompt": "c", "id": 7}',
        '{"promt": "d"}',
        "e",
        '{"prompt": ""}',
    ]
    done = run("run", "demo", "--batch", "-", *ONE_BY_ONE, stdin="\n".join(lines))
    printed = [msgspec.json.decode(line) for line in done.stdout.splitlines()]
    assert [(each["index"], each["id"], each.get("text")) for each in printed] == [
        (1, None, "One."),
        (2, "of b", None),
        (3, 7, "Three."),
        *((number, None, None) for number in (4, 5, 6)),
    ]
    assert [each["error"]["code"] for each in printed if "error" in each] == [
        "context_exceeded",
        "request_invalid",
        "request_invalid",
        "prompt_empty",
    ]
    assert "erllama: record 2 (of b): The prompt is too long.\n" in done.stderr
    assert "unknown field `promt`" in done.stderr


def test_a_json_record_says_how_it_is_to_be_answered(run: Run, fake: FakeDaemon) -> None:
    fake.answers = [answer("One."), answer("Two.")]
    special = {
        "prompt": "a",
        "system": "Sing.",
        "max_tokens": 3,
        "stop": ["."],
        "temperature": 0,
        "seed": 5,
        "json_schema": {"type": "object"},
        "logit_bias": {"7": -1.0},
    }
    stdin = f'{msgspec.json.encode(special).decode()}\n"b"\n'
    run("run", "demo", "--batch", "-", "-s", "Talk.", "--top-k", "9", "-n", "8", *ONE_BY_ONE, stdin=stdin)
    first, second = fake.asked
    assert [request.messages[0].text for request in fake.asked] == ["Sing.", "Talk."]
    assert (first.max_tokens, first.stop, first.sampling.temperature, first.sampling.seed) == (3, ["."], 0, 5)
    assert (first.sampling.json_schema, first.sampling.logit_bias) == ('{"type":"object"}', {7: -1.0})
    assert [request.sampling.top_k for request in fake.asked] == [9, 9]
    assert (second.max_tokens, second.stop, second.sampling.temperature) == (8, [], 0.8)


@pytest.mark.parametrize(
    "record", ['{"prompt": "a", "max_tokens": 0}', '{"prompt": "a", "temperature": -1}', '{"prompt": 1}', '{"id": 1}']
)
def test_a_value_that_makes_no_sense_fails_its_record_alone(run: Run, fake: FakeDaemon, record: str) -> None:
    fake.answers = [answer("Two.")]
    done = run("run", "demo", "--batch", "-", "--batch-format", "jsonl", *ONE_BY_ONE, stdin=f'{record}\n"b"\n')
    assert (done.exit_code, len(done.stdout.splitlines())) == (EXIT_USAGE, 2)


def test_failures_of_one_kind_keep_their_exit_code(run: Run, fake: FakeDaemon) -> None:
    fake.answers = [[LONG], answer("Two."), [LONG]]
    assert run("run", "demo", "--batch", "-", *ONE_BY_ONE, stdin="a\nb\nc\n").exit_code == EXIT_CONTEXT


def test_what_would_befall_every_record_ends_the_batch(run: Run, fake: FakeDaemon) -> None:
    fake.refusal = (404, Failure("model_missing", "There is no model demo.", None, EXIT_MODEL))
    done = run("run", "demo", "--batch", "-", *ONE_BY_ONE, stdin="a\nb\nc\n")
    assert (done.exit_code, done.stdout, done.stderr) == (EXIT_MODEL, "", "erllama: There is no model demo.\n")


def test_what_each_answer_took_is_told_with_its_record(run: Run, fake: FakeDaemon) -> None:
    fake.answers = [answer("One."), answer("Two.")]
    done = run("run", "demo", "--batch", "-", "--stats", *ONE_BY_ONE, stdin="a\nb\n")
    assert [line.split(";")[0] for line in done.stderr.splitlines()] == [
        "record 1: 2 tokens, 2000.0 tok/s",
        "record 2: 2 tokens, 2000.0 tok/s",
    ]


def test_a_file_has_every_answer_of_a_batch_that_came_to_its_end(run: Run, fake: FakeDaemon, tmp_path: Path) -> None:
    fake.answers = [answer("One."), [LONG], answer("Three.")]
    output = tmp_path / "answers"
    done = run("run", "demo", "--batch", "-", "-o", str(output), *ONE_BY_ONE, stdin="a\nb\nc\n")
    assert (done.exit_code, done.stdout, output.read_text()) == (EXIT_CONTEXT, "", "One.\n\nThree.\n")


@pytest.mark.parametrize(
    "options",
    [
        ["--batch", "x", "--session", "build"],
        ["--batch", "x", "--parent", "0" * 64],
        ["--batch", "x", "--print0", "--json"],
        ["--jobs", "2"],
        ["--print0"],
        ["--batch-format", "nul"],
    ],
    ids=" ".join,
)
def test_options_that_make_no_sense_together_are_refused(run: Run, options: list[str]) -> None:
    assert run("run", "demo", *options, stdin="Why?").exit_code == EXIT_USAGE


def test_a_batch_that_cannot_be_read_is_named(run: Run, tmp_path: Path) -> None:
    done = run("run", "demo", "--batch", f"{tmp_path}/nowhere")
    reason = f"{tmp_path}/nowhere: no such file or directory"
    assert done.exit_code == EXIT_FAILED
    assert done.stderr.splitlines()[0] == f"erllama: The batch cannot be read: {reason}."


def test_no_record_is_no_failure(run: Run) -> None:
    assert run("run", "demo", "--batch", "-").exit_code == 0


def test_records_are_asked_together_and_heard_of_in_order_as_it_comes() -> None:
    """Each record waits for all others to be asked; the last is answered first."""
    asked = threading.Barrier(3)
    answered = [threading.Event() for _ in range(4)]

    def ask(number: int) -> Generator[str, None, None]:
        yield f"{number} begins"
        asked.wait(20)
        assert answered[number + 1].wait(20)
        answered[number].set()
        yield f"{number} ends"

    answered[3].set()
    heard = [(number, list(events)) for number, events in InOrder(range(3), ask, 3)]
    assert heard == [(number, [f"{number} begins", f"{number} ends"]) for number in range(3)]


def test_what_is_heard_first_is_passed_on_before_anything_else_is_read() -> None:
    read_on, spoken_on = threading.Event(), threading.Event()

    def records() -> Iterator[int]:
        yield 1
        assert read_on.wait(20)
        yield 2

    def ask(_number: int) -> Generator[str, None, None]:
        yield "first"
        assert spoken_on.wait(20)
        yield "second"

    answers = iter(InOrder(records(), ask, 2))
    _, events = next(answers)
    assert next(events) == "first"
    spoken_on.set()
    assert list(events) == ["second"]
    read_on.set()
    assert [number for number, _ in answers] == [2]


def test_no_more_is_read_than_there_is_room_for_ahead() -> None:
    read: list[int] = []
    may_answer = threading.Event()

    def records() -> Iterator[int]:
        for number in count(1):
            read.append(number)
            yield number

    def ask(_number: int) -> Generator[str, None, None]:
        may_answer.wait(20)
        yield "It."

    answers = InOrder(records(), ask, 2)
    numbers = iter(answers)
    number, events = next(numbers)
    most = len(read)
    may_answer.set()
    assert (number, list(events)) == (1, ["It."])
    answers.stop()
    assert most <= 2 * 2 + 2


def test_what_fails_while_records_are_read_comes_after_the_answers_to_those_that_were() -> None:
    def records() -> Iterator[int]:
        yield 1
        raise BatchUnreadable(reason="it broke")

    def ask(_number: int) -> Generator[str, None, None]:
        yield "It."

    answers = iter(InOrder(records(), ask, 1))
    assert list(next(answers)[1]) == ["It."]
    with pytest.raises(BatchUnreadable):
        next(answers)


def _start(stdin: IO[bytes] | int, *options: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "erllama_cli", "run", "demo", "--batch", "-", "--batch-format", "lines", *options],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_pipe_without_an_end_is_answered_line_by_line_and_ctrl_c_ends_it_without_a_word(fake: FakeDaemon) -> None:
    fake.answers, fake.hangs = [answer("One."), [Token("Tw")]], True
    with _start(subprocess.PIPE, "--jobs", "1") as command:
        assert command.stdin is not None and command.stdout is not None and command.stderr is not None
        command.stdin.write(b"a\n")
        command.stdin.flush()
        assert command.stdout.readline() == b"One.\n"
        command.stdin.write(b"b\nc\n")
        command.stdin.flush()
        assert command.stdout.read(2) == b"Tw"
        command.send_signal(signal.SIGINT)
        assert command.wait(20) == EXIT_INTERRUPTED
        assert (command.stdout.read(), command.stderr.read()) == (b"", b"")
    assert fake.hung_up.wait(20)


def test_a_reader_that_leaves_early_ends_the_batch_without_a_word(fake: FakeDaemon, tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("a\n" * 3)
    fake.answers = [[Token("word " * 100) for _ in range(1000)] for _ in range(3)]
    fake.hangs = True
    with (tmp_path / "lines").open("rb") as lines, _start(lines) as command:
        assert command.stdout is not None and command.stderr is not None
        assert os.read(command.stdout.fileno(), 4) == b"word"
        command.stdout.close()
        assert command.wait(20) == EXIT_PIPE_CLOSED
        assert command.stderr.read() == b""
