"""What the log says of an answer: what was asked and answered only if that is configured, and of what is private never
so, nor the name of its conversation.
"""

from __future__ import annotations

import logging

from erllama_daemon.http.answering.question import Question
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


def log_asked(number: int, question: Question) -> None:
    """What was asked, for who has `daemon.log_prompts` on."""
    if not question.scope:
        for message in question.request.messages:
            log.info("asked: %s", facts(id=number, role=message.role, text=message.text))


def log_answered(number: int, question: Question, stats: Stats) -> None:
    """What was answered, for who has `daemon.log_prompts` on."""
    if not question.scope:
        log.info("answered: %s", facts(id=number, thinking=stats.thinking, text=stats.text))


def _whose(question: Question) -> dict[str, str | None]:
    return {"model": question.model, "session": None if question.scope else question.session}
