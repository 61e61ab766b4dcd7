"""How far an answer is, as far as the daemon has heard of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from erllama_daemon import frames
from erllama_daemon.http.answering.question import Question
from erllama_daemon.http.endpoint import Dialect
from erllama_daemon.http.visit import VISIT, Visit
from erllama_daemon.messages import Failure, RequestState, RunningRequest, Stats
from erllama_daemon.models.worker_process import WorkerProcess


@dataclass
class AnswerProgress:
    """Kept by an answer, read by who looks on. `worker` is who computes it, or did; `ended` is what came of it."""

    id: int
    question: Question
    visit: Visit | None = field(default_factory=VISIT.get)
    started: float = field(default_factory=time.monotonic)
    worker: WorkerProcess | None = None
    ended: Stats | Failure | None = None
    state: RequestState = "waiting"
    ahead: int = 0
    read: int = 0
    total: int = 0
    cached: int = 0

    @property
    def age_s(self) -> float:
        """How long ago it was asked for."""
        return time.monotonic() - self.started

    @property
    def client(self) -> Dialect:
        """The API that it was asked with."""
        endpoint = None if self.visit is None else self.visit.endpoint
        return "erllama" if endpoint is None else endpoint.dialect

    def note(self, frame: frames.Waiting | frames.Prefilled | frames.Text | frames.Called) -> None:
        """A worker has said this."""
        match frame:
            case frames.Waiting():
                self.state, self.ahead = "queued", frame.ahead
            case frames.Prefilled():
                self.state, self.ahead = "prefilling", 0
                self.read, self.total, self.cached = frame.done, frame.total, frame.cached
            case _:
                self.state, self.read = "generating", self.total

    def row(self, told: frames.Progress | None) -> RunningRequest:
        """What there is to see; with what its worker tells of it, if it does."""
        rate = told.generated_tokens / told.generating_s if told is not None and told.generating_s > 0 else 0.0
        return RunningRequest(
            id=self.id,
            request_id="" if self.visit is None else self.visit.id,
            model=self.question.model if self.worker is None else self.worker.model,
            state=told.state if told is not None else self.state,
            client=self.client,
            age_s=round(self.age_s, 3),
            session=None if self.question.scope else self.question.session,
            ahead=self.ahead,
            prompt_tokens=told.prompt_tokens if told is not None else self.total,
            read_tokens=told.read_tokens if told is not None else self.read,
            cached_tokens=told.cached_tokens if told is not None else self.cached,
            generated_tokens=told.generated_tokens if told is not None else 0,
            tokens_per_s=round(rate, 2),
        )
