"""A daemon whose answers a test scripts and that keeps the conversations for real."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
from cli.fake_daemon import FakeDaemon, Handler, Running, Server, stats

from erllama_cache.errors import ErllamaError
from erllama_cache.keys import pack_tokens, unpack_tokens
from erllama_daemon.directories import user_directories
from erllama_daemon.errors import ModelMissing, RequestInvalid
from erllama_daemon.messages import (
    CompleteRequest,
    DeletedSession,
    Done,
    Event,
    Failure,
    FinishReason,
    Fork,
    GoTo,
    Message,
    NewSession,
    Session,
    SessionChange,
    SessionList,
    SessionTurns,
    Token,
)
from erllama_daemon.sessions.store import PRIVATE, Sessions
from erllama_daemon.sessions.turn import Turn


@dataclass
class KeepingDaemon(FakeDaemon):
    """As a `FakeDaemon`, but what it answers becomes a turn, and it can go back, fork and forget.

    A word is a token. An answer waits with its end and its `last_words` until it `may_finish`, or is cancelled. One
    without an end becomes a turn when the client hangs up, as far as it was said.
    """

    sessions: Sessions = field(default_factory=lambda: Sessions(user_directories().sessions))
    private: Sessions = field(default_factory=lambda: Sessions(None))
    answering: threading.Lock = field(default_factory=threading.Lock)
    last_words: Sequence[str] = ()

    def __post_init__(self) -> None:
        self.may_finish.set()

    def holding(self, session: str) -> Sessions:
        return self.private if session.startswith(PRIVATE) else self.sessions

    def say(self, session: str, request: CompleteRequest, text: str, finish_reason: FinishReason = "stop") -> Turn:
        """The turn that an answer would become."""
        messages = [*request.messages, Message("assistant", [text])]
        history = self.holding(session).history(session, request.after)
        words = " ".join(message.text for message in messages).split()
        tokens = [*(unpack_tokens(history.tokens) if history else []), *(len(word) for word in words)]
        after = self.holding(session).get(session).turn if request.after is None else request.after or None
        key = hashlib.sha256(pack_tokens(tokens)).digest()
        return Turn(
            after=after,
            messages=messages,
            tokens=pack_tokens(tokens),
            finish_key=key,
            fingerprint="00",
            finish_reason=finish_reason,
            thinking="Let me see." if text == "I thought." else None,
        )


class _Handler(Handler):
    server: _Server

    def do_GET(self) -> None:  # noqa: N802
        url = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path.startswith("/v1/sessions"):
            self._try(lambda: self._looked_up(url.path, asked))
        else:
            super().do_GET()

    def do_POST(self) -> None:  # noqa: N802
        fake = self.server.fake
        if fake.refusal is not None or not self.path.startswith(("/v1/sessions", "/v1/complete")):
            super().do_POST()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/v1/complete":
            self._complete(msgspec.json.decode(body, type=CompleteRequest))
        else:
            self._try(lambda: self._changed(body))

    def do_DELETE(self) -> None:  # noqa: N802
        fake, session = self.server.fake, unquote(self.path.split("/")[3])
        fake.deleted.append(self.path)
        turns = fake.holding(session).delete(session)
        self._send(200, DeletedSession(id=session, called=session, turns=turns, blocks=0, bytes=0))

    def await_moment(self, event: msgspec.Struct) -> None:
        fake = self.server.fake
        if isinstance(event, Done) or (isinstance(event, Token) and event.text in fake.last_words):
            assert fake.may_finish.wait(20)

    def _looked_up(self, path: str, asked: dict[str, str]) -> msgspec.Struct:
        fake = self.server.fake
        match path.split("/")[3:]:
            case []:
                return SessionList(fake.sessions.summaries(asked.get("text", "")))
            case ["latest"]:
                return fake.sessions.latest()
            case ["find"]:
                return fake.holding(asked["name"]).find(asked["name"])
            case [session, "turns"]:
                return SessionTurns(fake.holding(session).turns(session))
            case [session, *_]:
                if "settled" in asked:
                    fake.answering.acquire()
                    fake.answering.release()
                return fake.holding(session).get(session)
        raise AssertionError(path)

    def _changed(self, body: bytes) -> Session:
        fake = self.server.fake
        match self.path.split("/")[3:]:
            case []:
                new = msgspec.json.decode(body, type=NewSession)
                return (fake.private if new.private else fake.sessions).create(new.model, new.name)
            case [session, "goto"]:
                return fake.holding(session).go_to(session, msgspec.json.decode(body, type=GoTo).turn)
            case [session, "fork"]:
                fork = msgspec.json.decode(body, type=Fork)
                if session.startswith(PRIVATE):
                    raise RequestInvalid(reason="a private conversation cannot be forked")
                return fake.sessions.fork(session, name=fork.name, turn=fork.turn)
            case [session, "change"]:
                change = msgspec.json.decode(body, type=SessionChange)
                if change.model == "missing":
                    raise ModelMissing(model=change.model)
                return fake.holding(session).change(session, name=change.name, model=change.model)
        raise AssertionError(self.path)

    def _try(self, action: object) -> None:
        assert callable(action)
        try:
            self._send(200, action())
        except ErllamaError as error:
            self._send(404, Failure.of(error))

    def _complete(self, request: CompleteRequest) -> None:
        fake, session = self.server.fake, request.session
        assert session is not None
        fake.asked.append(request)
        with fake.answering:
            try:
                fake.holding(session).check_seen(session, request.seen)
                fake.holding(session).ask(session, request.messages)
            except ErllamaError as error:
                self._send(404, Failure.of(error))
                return
            events = fake.answers.pop(0)
            if any(isinstance(event, Failure) for event in events):
                self._stream(events)
                return
            text = "".join(event.text for event in events if isinstance(event, Token))
            if isinstance(events[-1], Done) and (text or not events[-1].stats.cancelled):
                self._finish(session, request, events, text)
                return
            self._stream(events)
            if text:
                fake.holding(session).add_turn(session, fake.say(session, request, text, "cancelled"))

    def _finish(self, session: str, request: CompleteRequest, events: Sequence[Event], text: str) -> None:
        fake = self.server.fake
        history = fake.holding(session).history(session, request.after)
        last = events[-1]
        assert isinstance(last, Done)
        turn = fake.say(session, request, text, last.stats.finish_reason)
        number = fake.holding(session).add_turn(session, turn)
        cached = len(unpack_tokens(history.tokens)) if history else 0
        answered = len(text.split())
        done = msgspec.structs.replace(
            stats(text),
            cancelled=last.stats.cancelled,
            finish_reason=last.stats.finish_reason,
            session=session,
            turn=number,
            prompt_tokens=len(unpack_tokens(turn.tokens)) - answered,
            cached_tokens=cached,
            completion_tokens=answered,
            finish_key=turn.finish_key.hex(),
            thinking=turn.thinking,
            context_size=8192,
            seed=1 if request.sampling.seed is None else request.sampling.seed,
        )
        self._stream([*events[:-1], Done(done)])


class _Server(Server):
    fake: KeepingDaemon
    handler = _Handler


class RunningAndKeeping(Running):
    """A `KeepingDaemon` behind its socket, until the block ends."""

    server = _Server

    def new_fake(self, socket: Path) -> KeepingDaemon:
        return KeepingDaemon(socket)

    def __enter__(self) -> KeepingDaemon:
        fake = super().__enter__()
        assert isinstance(fake, KeepingDaemon)
        return fake
