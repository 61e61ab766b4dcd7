"""A daemon that says what a test tells it to, over a real Unix socket."""

from __future__ import annotations

import os
import socketserver
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec

from erllama_daemon import __version__
from erllama_daemon.messages import (
    VERSION_HEADER,
    Activity,
    AdapterRequest,
    CompleteRequest,
    DaemonSettings,
    DaemonStatus,
    DetokenizeRequest,
    Done,
    EmbedRequest,
    Event,
    ExplainRequest,
    Failure,
    ForgetRequest,
    Fork,
    LoadEvent,
    Message,
    ModelInfoRequest,
    ModelRequest,
    ModelStatus,
    NewSession,
    Quotas,
    RecomputeEvent,
    RecomputeRequest,
    RenderRequest,
    Session,
    SessionChange,
    SessionList,
    Stats,
    Token,
    TokenizeRequest,
)

BODIES: dict[str, type[msgspec.Struct]] = {
    "/v1/tokenize": TokenizeRequest,
    "/v1/detokenize": DetokenizeRequest,
    "/v1/render": RenderRequest,
    "/v1/embed": EmbedRequest,
    "/v1/adapters/load": AdapterRequest,
    "/v1/adapters/unload": AdapterRequest,
    "/v1/adapters/scale": AdapterRequest,
    "/v1/adapters/ls": AdapterRequest,
    "/v1/models/load": ModelRequest,
    "/v1/models/unload": ModelRequest,
    "/v1/evict": ModelRequest,
    "/v1/catalog/info": ModelInfoRequest,
    "/v1/cache/forget": ForgetRequest,
    "/v1/cache/explain": ExplainRequest,
    "/v1/cache/recompute": RecomputeRequest,
}


def stats(text: str) -> Stats:
    return Stats(
        text=text,
        finish_reason="stop",
        cancelled=False,
        stop_sequence=None,
        cache_hit_kind="cold",
        cached_tokens=0,
        prompt_tokens=7,
        completion_tokens=2,
        load_ms=0.0,
        queue_ms=0.0,
        restore_ms=0.0,
        prefill_ms=1.0,
        ttft_ms=1.0,
        generation_ms=1.0,
        finish_key="f" * 64,
        model="demo",
        seed=1,
        saved="published",
    )


def answer(*texts: str) -> list[Event]:
    return [*(Token(text) for text in texts), Done(stats("".join(texts)))]


def session(
    *messages: Message, name: str = "abcd1234", unanswered: Message | None = None, private: bool = False
) -> Session:
    return Session(
        id=name,
        model="demo",
        title="Llamas",
        created=1.0,
        updated=2.0,
        messages=list(messages),
        tokens=9,
        finish_key=None,
        unanswered=unanswered,
        private=private,
    )


def model_status(name: str = "demo") -> ModelStatus:
    return ModelStatus(
        id=name,
        path="/models/demo.gguf",
        pid=7,
        status="generating",
        backend="CPU",
        context_size=8192,
        quant_type="Q4_1",
        quant_bits=5.0,
        tier="disk",
        fingerprint="a" * 64,
        queue_depth=3,
        live_sequences=2,
        resident_bytes=136 << 20,
        ram_rows=0,
        ram_bytes=0,
        ram_quota_bytes=0,
        running=2,
        parallel=4,
        idle_s=61.0,
        expires_s=240.0,
    )


@dataclass
class FakeDaemon:
    """Answers each completion with the next of `answers`; one without an end hangs until the client hangs up.

    Every other request with a body is answered with `reply`, or line by line with `loading` or `recomputing`, and kept
    in `calls`. The conversations are those in `kept`, found by their name, their id or how it begins, and `latest`;
    what begins, forks and changes them is in `done`. A `version` of None is that of a daemon that does not say it;
    `nonsense` is its status, if it says that. A daemon that is `in_use` does not give way.
    """

    socket: Path
    answers: list[Sequence[Event]] = field(default_factory=list)
    refusal: tuple[int, Failure] | None = None
    hangs: bool = False
    version: str | None = __version__
    status: DaemonStatus | None = None
    nonsense: msgspec.Struct | None = None
    in_use: Failure | None = None
    looked_at: int = 0
    was_stopped: bool = False
    latest: Session | None = None
    kept: list[Session] = field(default_factory=list)
    done: list[msgspec.Struct] = field(default_factory=list)
    listed: SessionList | None = None
    loaded: list[ModelStatus] = field(default_factory=list)
    quotas: Quotas | None = None
    settings: DaemonSettings | None = None
    activity: Activity | None = None
    reply: msgspec.Struct | None = None
    loading: Sequence[LoadEvent] = ()
    recomputing: Sequence[RecomputeEvent] = ()
    calls: list[tuple[str, msgspec.Struct]] = field(default_factory=list)
    asked: list[CompleteRequest] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    ends_when_cancelled: bool = True
    may_finish: threading.Event = field(default_factory=threading.Event)
    hung_up: threading.Event = field(default_factory=threading.Event)
    stopped: threading.Event = field(default_factory=threading.Event)

    def hide(self) -> None:
        """Is gone, for who connects."""
        self.socket.rename(self._hidden)

    def listen_again(self) -> None:
        """Is there again, as the next daemon would be."""
        self._hidden.rename(self.socket)

    @property
    def _hidden(self) -> Path:
        return self.socket.with_name("hidden")

    def be_of_version(self, version: str | None, *, says_so_beside: bool = True) -> None:
        """Is of this version from now on: in what it answers, and in the file beside its socket."""
        self.version = version
        file = self.socket.with_name(f"{self.socket.name}.version")
        file.unlink(missing_ok=True)
        if version is not None and says_so_beside:
            file.write_text(f"{version}\n")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def address_string(self) -> str:
        return "a test"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        fake = self.server.fake
        if self.path == "/v1/status":
            fake.looked_at += 1
            status = DaemonStatus(running=True, socket=str(fake.socket), uptime_s=61.0, models=fake.loaded)
            told = msgspec.structs.replace(fake.status or status, version=fake.version, quotas=fake.quotas)
            self._send(200, fake.nonsense or told)
        elif self.path == "/v1/config" and fake.settings is not None:
            self._send(200, fake.settings)
        elif self.path == "/v1/requests" and fake.activity is not None:
            fake.looked_at += 1
            self._send(200, fake.activity)
        elif fake.refusal is not None:
            self._send(*fake.refusal)
        elif self.path == "/v1/catalog":
            self._send(200, fake.reply)
        elif self.path.startswith("/v1/sessions?") and fake.listed is not None:
            self._send(200, fake.listed)
        elif self.path.startswith("/v1/sessions/find?name="):
            self._send_found(unquote(self.path.partition("=")[2]))
        elif self.path == "/v1/sessions/latest" and fake.latest is None:
            self._send(404, Failure("no_session", "There is no conversation to continue.", None, 1))
        elif self.path == "/v1/sessions/latest":
            self._send(200, fake.latest)
        else:
            self._send_found(self.path.rpartition("/")[2])

    def do_POST(self) -> None:
        fake = self.server.fake
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/v1/stop?if=idle" and fake.in_use is not None:
            self._send(409, fake.in_use)
        elif self.path in ("/v1/stop", "/v1/stop?if=idle"):
            fake.hide()
            fake.was_stopped = True
            fake.stopped.set()
            self._send(202, None)
        elif self.path.startswith("/v1/cancel/"):
            fake.cancelled.append(int(self.path.rpartition("/")[2]))
            if fake.ends_when_cancelled:
                fake.may_finish.set()
            self._send(202, None)
        elif fake.refusal is not None:
            self._send(*fake.refusal)
        elif self.path == "/v1/sessions":
            new = msgspec.json.decode(body, type=NewSession)
            fake.models.append(new.model)
            fake.done.append(new)
            begun = session(name="private-1", private=True) if new.private else session()
            self._send_kept(msgspec.structs.replace(begun, model=new.model, name=new.name))
        elif self.path == "/v1/reload":
            self._send(200, fake.reply)
        elif self.path.endswith("/fork"):
            fork = msgspec.json.decode(body, type=Fork)
            fake.done.append(fork)
            self._send_kept(msgspec.structs.replace(self._found(), id="f0f0f0f0", name=fork.name))
        elif self.path.endswith("/change"):
            change = msgspec.json.decode(body, type=SessionChange)
            fake.done.append(change)
            changed = self._found()
            self._send_kept(msgspec.structs.replace(changed, model=change.model or changed.model))
        elif self.path in BODIES:
            fake.calls.append((self.path, msgspec.json.decode(body, type=BODIES[self.path])))
            if self.path == "/v1/models/load":
                self._stream(fake.loading)
            elif self.path == "/v1/cache/recompute":
                self._stream(fake.recomputing)
            else:
                self._send(200, fake.reply)
        else:
            fake.asked.append(msgspec.json.decode(body, type=CompleteRequest))
            self._stream(fake.answers.pop(0))

    def do_DELETE(self) -> None:
        self.server.fake.deleted.append(self.path)
        self._send(204, None)

    def _found(self) -> Session:
        """The conversation that the path is about."""
        return next(kept for kept in self._kept() if kept.id == self.path.split("/")[3])

    def _kept(self) -> list[Session]:
        fake = self.server.fake
        return [*fake.kept, *([] if fake.latest is None else [fake.latest])]

    def _send_found(self, called: str) -> None:
        exact = [kept for kept in self._kept() if called in (kept.id, kept.name)]
        found = exact or [kept for kept in self._kept() if kept.id.startswith(called)]
        if found:
            self._send(200, found[0])
        else:
            self._send(404, Failure("session_unknown", f"There is no conversation {called}.", "Did you mean 'a'?", 1))

    def _send_kept(self, made: Session) -> None:
        """Answers with a conversation as it is now."""
        fake = self.server.fake
        fake.kept = [made, *(kept for kept in fake.kept if kept.id != made.id)]
        self._send(200, made)

    def await_moment(self, event: msgspec.Struct) -> None:
        """Returns when an event may be sent."""

    def _send(self, status: int, body: msgspec.Struct | None) -> None:
        payload = b"" if body is None else msgspec.json.encode(body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(payload)))
        self._send_version()
        self.end_headers()
        if payload:  # who needs no more may have left
            self.wfile.write(payload)

    def _send_version(self) -> None:
        if self.server.fake.version is not None:
            self.send_header(VERSION_HEADER, self.server.fake.version)

    def _stream(self, events: Sequence[Event | LoadEvent | RecomputeEvent]) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self._send_version()
        self.end_headers()
        for event in events:
            self.await_moment(event)
            line = msgspec.json.encode(event) + b"\n"
            self.wfile.write(b"%x\r\n%b\r\n" % (len(line), line))
        if self.server.fake.hangs and not (events and isinstance(events[-1], Done)):
            self.rfile.read(1)
            self.server.fake.hung_up.set()


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    handler = Handler

    def __init__(self, fake: FakeDaemon) -> None:
        self.fake = fake
        super().__init__(os.fspath(fake.socket), self.handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a client has heard enough when the answer is whole
            super().handle_error(request, client_address)


class Running:
    """A `FakeDaemon` behind its socket, until the block ends."""

    server = Server

    def __init__(self, socket: Path) -> None:
        socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fake = self.new_fake(socket)
        self._fake.be_of_version(__version__)
        self._server = self.server(self._fake)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def new_fake(self, socket: Path) -> FakeDaemon:
        return FakeDaemon(socket)

    def __enter__(self) -> FakeDaemon:
        self._thread.start()
        return self._fake

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._fake.socket.unlink(missing_ok=True)
        self._fake.socket.with_name("hidden").unlink(missing_ok=True)
        self._fake.be_of_version(None)
