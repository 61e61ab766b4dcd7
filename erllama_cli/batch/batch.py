"""A batch: every record is answered, and one that cannot be stops no other."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec

from erllama_cache.errors import ErllamaError
from erllama_cli.answer import draw_answer, tell_stats
from erllama_cli.batch.asking import InOrder
from erllama_cli.batch.record import Record, read_records
from erllama_cli.batch.splitting import pieces_of
from erllama_cli.client import AnswerEvent, Client
from erllama_cli.failures import failure_of, print_failure, print_traceback
from erllama_cli.files import STREAM
from erllama_cli.launcher import running_daemon
from erllama_cli.options import DisplayOptions
from erllama_cli.options.batch import BatchOptions
from erllama_cli.output import print_json, write_text
from erllama_cli.question import question_about, system_messages
from erllama_cli.results.batch import BatchAnswer, BatchFailure
from erllama_daemon.directories import user_directories
from erllama_daemon.errors import EXIT_FAILED, BatchUnreadable, OutputFailed, PromptEmpty
from erllama_daemon.messages import CompleteRequest, Message, Stats, Token
from erllama_daemon.messages.checks import check_complete

_OF_EVERY_RECORD = {
    "adapter_unreadable",
    "alias_unknown",
    "config_invalid",
    "daemon_incompatible",
    "daemon_unreachable",
    "demo_model_missing",
    "given_socket_unreachable",
    "model_ambiguous",
    "model_missing",
    "model_unknown",
    "model_unreadable",
    "socket_path_too_long",
}
"""Codes of what would befall the next record too."""


@dataclass(frozen=True, kw_only=True)
class Questions:
    """What every record of a batch is asked with.

    The messages are `head`, then one that has `documents`, the record and `prompt`; `request` lacks only them.
    """

    request: CompleteRequest
    head: Sequence[Message]
    documents: Sequence[str]
    prompt: str

    def ask(self, client: Client, record: Record) -> Generator[AnswerEvent, None, None]:
        """The events of the answer. Raises what `Client.complete` raises, and what is wrong with the record."""
        yield from client.complete(self._request(record))

    def _request(self, record: Record) -> CompleteRequest:
        if record.failure is not None:
            raise record.failure
        if not record.prompt.strip():
            raise PromptEmpty
        head = self.head if record.system is None else system_messages(record.system)
        request = msgspec.structs.replace(
            self.request,
            messages=[*head, question_about([*self.documents, record.prompt], self.prompt)],
            sampling=msgspec.structs.replace(self.request.sampling, **record.of_sampling),
            **record.of_request,
        )
        check_complete(request)
        return request


def answer_batch(questions: Questions, options: BatchOptions, display: DisplayOptions) -> int:
    """Print the answer to every record in order, as soon as it is there; gives what to end with.

    That is 0 or, if some records could not be answered, the exit code of all these failures, or 1 if they differ.
    Raises BatchUnreadable, what would befall every record, and what printing raises.
    """
    with _opened(options.batch or STREAM) as stream:
        kind, records = read_records(pieces_of(stream), options.batch_format)
        as_json = display.as_json or (kind == "jsonl" and not options.print0)
        ends_line = as_json or sys.stdout.isatty() or not (options.print0 or kind == "nul")
        printer = _Printer(display.but(as_json=as_json, ends_line=ends_line))
        if (first := next(records, None)) is None:
            return 0
        client = running_daemon(user_directories(), quiet=display.quiet)
        answers = InOrder(itertools.chain([first], records), partial(questions.ask, client), options.jobs)
        try:
            for record, events in answers:
                printer.print(record, events)
        finally:
            answers.stop()
    return printer.exit_code


@dataclass
class _Printer:
    display: DisplayOptions
    exit_codes: set[int] = field(default_factory=set)
    has_text: bool = False

    @property
    def exit_code(self) -> int:
        return next(iter(self.exit_codes), 0) if len(self.exit_codes) < 2 else EXIT_FAILED

    def print(self, record: Record, events: Iterable[AnswerEvent]) -> None:
        self.has_text = False
        try:
            stats = draw_answer(self._watched(events), self.display)
        except OutputFailed:
            raise
        except ErllamaError as error:
            self._print_failure(record, error)
        else:
            self._print_stats(record, stats)

    def _watched(self, events: Iterable[AnswerEvent]) -> Iterator[AnswerEvent]:
        for event in events:
            self.has_text |= isinstance(event, Token) and event.text != ""
            yield event

    def _print_stats(self, record: Record, stats: Stats) -> None:
        if self.display.as_json:
            print_json(BatchAnswer(**msgspec.structs.asdict(stats), index=record.number, id=record.id))
        else:
            self._end_answer(has_line=self.has_text)
        tell_stats(stats, self.display, of=f"{record.name}: ")

    def _print_failure(self, record: Record, error: ErllamaError) -> None:
        failure = failure_of(error)
        if failure.code in _OF_EVERY_RECORD:
            raise error
        self.exit_codes.add(failure.exit_code)
        if self.display.as_json:
            print_json(BatchFailure(index=record.number, id=record.id, error=failure))
        else:
            self._end_answer(has_line=self.has_text and not self.display.no_stream)
        if self.display.debug:
            print_traceback(error)
        if not (self.display.as_json and sys.stdout.isatty()):  # who reads the object has been told
            print_failure(msgspec.structs.replace(failure, message=f"{record.name}: {failure.message}"))

    def _end_answer(self, *, has_line: bool) -> None:
        """The nth answer belongs to the nth record, whatever became of the others."""
        if not self.display.ends_line:
            write_text("\0")
        elif not has_line:
            write_text("\n")


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    """Raises BatchUnreadable, also for what fails to be read inside."""
    try:
        if file != STREAM:
            with Path(file).open("rb") as stream:
                yield stream
        elif sys.stdin is not None:
            yield sys.stdin.buffer
        else:
            raise BatchUnreadable(reason="standard input is closed")
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        name = "standard input" if file == STREAM else file
        raise BatchUnreadable(reason=f"{name}: {(error.strerror or str(error)).lower()}") from error
