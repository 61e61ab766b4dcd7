"""What the log says of an answer: never what was asked or answered, nor the name of a private conversation."""

from __future__ import annotations

import logging

from erllama_daemon.http.question import Question
from erllama_daemon.log_line import facts
from erllama_daemon.messages import Failure, Stats

log = logging.getLogger(__name__)


def log_finished(number: int, question: Question, stats: Stats, ms: float) -> None:
    """An answer that ended, cancelled or not, `ms` after it was asked for."""
    told = facts(
        id=number,
        **_whose(question),
        reason=stats.finish_reason,
        prompt_tokens=stats.prompt_tokens,
        cached_tokens=stats.cached_tokens,
        completion_tokens=stats.completion_tokens,
        saved=stats.saved,
        ms=ms,
    )
    log.info("answer finished: %s", told)


def log_failed(number: int, question: Question, failure: Failure, ms: float) -> None:
    """An answer that failed; no more than the code, for what was asked may stand in the message."""
    log.info("answer failed: %s", facts(id=number, **_whose(question), code=failure.code, ms=ms))


def _whose(question: Question) -> dict[str, str | None]:
    return {"model": question.model, "session": None if question.scope else question.session}
