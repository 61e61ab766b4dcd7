"""The daemon, seen through its Unix socket."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Literal
from urllib.parse import quote

import msgspec

from erllama_cli.connection import Connector, Decoded
from erllama_daemon.directories import Directories
from erllama_daemon.errors import DaemonLost, DaemonUnreachable
from erllama_daemon.messages import (
    Accepted,
    Activity,
    AdapterList,
    AdapterRequest,
    Catalog,
    CompleteRequest,
    DaemonSettings,
    DaemonStatus,
    DeletedSession,
    Detokenized,
    DetokenizeRequest,
    Done,
    Embeddings,
    EmbedRequest,
    Event,
    Evicted,
    ExplainRequest,
    Explanation,
    Failure,
    ForgetRequest,
    Forgotten,
    Fork,
    GoTo,
    Loaded,
    LoadEvent,
    Loading,
    ModelInfo,
    ModelInfoRequest,
    ModelRequest,
    NewSession,
    Prefilling,
    Queued,
    Recomputed,
    RecomputeEvent,
    RecomputeRequest,
    Recomputing,
    Reloaded,
    RemoteError,
    RenderedPrompt,
    RenderRequest,
    Session,
    SessionChange,
    SessionList,
    SessionSummary,
    SessionTurn,
    SessionTurns,
    Summarizing,
    Thinking,
    Token,
    Tokenized,
    TokenizeRequest,
    Unloaded,
)

AnswerEvent = Accepted | Loading | Queued | Prefilling | Summarizing | Token | Thinking | Done
AdapterAction = Literal["load", "unload", "scale", "ls"]

_STATUS_TIMEOUT_S = 10.0
_CANCEL_TIMEOUT_S = 5.0


class _Identity(msgspec.Struct, frozen=True):
    pid: int | None = None
    version: str | None = None


class Client:
    """Asks one daemon. Every call opens a connection of its own.

    A daemon that has gone since, or is going and takes no requests, is replaced by `revive` if that is given, and asked
    again: it has done nothing yet. Each method raises the failure that the daemon answered (`RemoteError`),
    `DaemonUnreachable` when nobody answers, `DaemonLost` when the answer breaks off, and `DaemonIncompatible` when it
    makes no sense.
    """

    def __init__(self, directories: Directories, revive: Callable[[], None] | None = None) -> None:
        self._directories = directories
        self._connector = Connector(directories, revive)

    @property
    def daemon_version(self) -> str | None:
        """What the daemon said of its version when it was last asked; None if it said nothing."""
        return self._connector.daemon_version

    def answers(self) -> bool:
        """Whether somebody listens at the socket."""
        try:
            self._connector.connect().close()
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError as error:
            raise self._connector.unreachable(error) from error
        return True

    def status(self, timeout_s: float = _STATUS_TIMEOUT_S) -> DaemonStatus | None:
        """What the daemon does, or None if there is none. Never starts one.

        If the daemon ends just then, it is looked whether another is there by now.
        """
        try:
            return self._status(timeout_s)
        except DaemonLost:
            return self._status(timeout_s)

    def identity(self) -> DaemonStatus:
        """As much of its status as a daemon of any version tells: its process, and what is known without asking."""
        with self._connector.ask("GET", "/v1/status", timeout_s=_STATUS_TIMEOUT_S) as response:
            found = self._connector.decoded(response.read(), _Identity)
        return DaemonStatus(running=True, socket=str(self._directories.socket), pid=found.pid, version=found.version)

    def reload(self) -> Reloaded:
        """Have the daemon read its configuration again; what is different now."""
        with self._connector.ask("POST", "/v1/reload") as response:
            return self._connector.decoded(response.read(), Reloaded)

    def settings(self) -> DaemonSettings:
        """The configuration that the daemon has read last."""
        with self._connector.ask("GET", "/v1/config", timeout_s=_STATUS_TIMEOUT_S) as response:
            return self._connector.decoded(response.read(), DaemonSettings)

    def stop(self, *, only_if_idle: bool = False) -> None:
        """Tell the daemon to save what it holds and end. Returns before it has.

        With `only_if_idle`, one that is in use fails as `daemon_in_use`, and goes on; one of an earlier version ends.
        """
        with self._connector.ask("POST", "/v1/stop?if=idle" if only_if_idle else "/v1/stop") as response:
            response.read()

    def new_session(self, model: str, *, private: bool = False, name: str | None = None) -> Session:
        """A new conversation with `model`; a private one is kept nowhere, and is there until it is forgotten."""
        return self._answer("/v1/sessions", NewSession(model, private, name), Session)

    def forget_session(self, session: Session) -> None:
        """Have a private conversation gone, with all that was computed for it. One that is gone already is fine."""
        with self._connector.ask("DELETE", _path_of(session.id)) as response:
            response.read()

    def session(self, name: str) -> Session:
        """The conversation of this name or id, or the only one whose id begins so."""
        return self._got(f"/v1/sessions/find?name={quote(name, safe='')}", Session)

    def settled_session(self, session: Session) -> Session:
        """A conversation as it is once none of its answers is under way any more."""
        return self._got(f"{_path_of(session.id)}?settled=true", Session)

    def latest_session(self) -> Session:
        """The conversation that was used last."""
        return self._got("/v1/sessions/latest", Session)

    def sessions(self, text: str = "") -> list[SessionSummary]:
        """The conversations that are kept, or those in which `text` stands; the one used last first."""
        return self.session_list(text).sessions

    def session_list(self, text: str = "") -> SessionList:
        """As `sessions`, with what the user is to hear of them as a whole."""
        return self._got(f"/v1/sessions?text={quote(text, safe='')}", SessionList)

    def turns(self, session: Session) -> list[SessionTurn]:
        """Every turn of a conversation, also those that it has gone back from."""
        return self._got(f"{_path_of(session.id)}/turns", SessionTurns).turns

    def go_to(self, session: Session, turn: str) -> Session:
        """Have a conversation go on from the turn of this name; "0" is its beginning."""
        return self._answer(f"{_path_of(session.id)}/goto", GoTo(turn), Session)

    def fork(self, session: Session, *, name: str | None = None, turn: str | None = None) -> Session:
        """A new conversation that shares the turns of `session`, up to its last or the one of this name."""
        return self._answer(f"{_path_of(session.id)}/fork", Fork(name, turn), Session)

    def change_session(self, session: Session, *, name: str | None = None, model: str | None = None) -> Session:
        """Give a conversation another name, none if that is empty, or have it go on with another model."""
        return self._answer(f"{_path_of(session.id)}/change", SessionChange(name, model), Session)

    def delete_session(self, session: Session) -> DeletedSession:
        """Have a conversation gone, with the turns and the cached blocks that only it needs."""
        with self._connector.ask("DELETE", _path_of(session.id)) as response:
            return self._connector.decoded(response.read(), DeletedSession)

    def complete(self, request: CompleteRequest) -> Generator[AnswerEvent, None, None]:
        """The events of one answer as they come; the last is `Done`.

        Close the iterator to hang up, which cancels the request.
        """
        return self._events("/v1/complete", request, msgspec.json.Decoder(Event), Done)

    def cancel(self, number: int) -> None:
        """Have an answer, by the number that it was accepted with, end at its next tick; its events end as always."""
        with self._connector.ask("POST", f"/v1/cancel/{number}", timeout_s=_CANCEL_TIMEOUT_S) as response:
            response.read()

    def load(self, request: ModelRequest) -> Generator[Loading | Loaded, None, None]:
        """How far a model is loaded; the last is `Loaded`."""
        return self._events("/v1/models/load", request, msgspec.json.Decoder(LoadEvent), Loaded)

    def unload(self, request: ModelRequest) -> Unloaded:
        """Save what a model holds and let it go, once its requests are done."""
        return self._answer("/v1/models/unload", request, Unloaded)

    def catalog(self) -> Catalog | None:
        """Every model that can be named, or None if there is no daemon. Never starts one."""
        return self._got("/v1/catalog", Catalog) if self.answers() else None

    def model_info(self, request: ModelInfoRequest) -> ModelInfo | None:
        """One model and the memory it would take, or None if there is no daemon. Never starts one."""
        return self._answer("/v1/catalog/info", request, ModelInfo) if self.answers() else None

    def activity(self) -> Activity:
        """What the daemon is busy with."""
        return self._got("/v1/requests", Activity)

    def evict(self, request: ModelRequest) -> Evicted:
        """Save what a model holds live and let it go; the model stays."""
        return self._answer("/v1/evict", request, Evicted)

    def forget(self, request: ForgetRequest) -> Forgotten:
        """Have the loaded models let go of blocks that were deleted."""
        return self._answer("/v1/cache/forget", request, Forgotten)

    def tokenize(self, request: TokenizeRequest) -> Tokenized:
        """The tokens of a text."""
        return self._answer("/v1/tokenize", request, Tokenized)

    def detokenize(self, request: DetokenizeRequest) -> Detokenized:
        """The text of some tokens."""
        return self._answer("/v1/detokenize", request, Detokenized)

    def render(self, request: RenderRequest) -> RenderedPrompt:
        """The prompt that messages become."""
        return self._answer("/v1/render", request, RenderedPrompt)

    def embed(self, request: EmbedRequest) -> Embeddings:
        """A vector for each text."""
        return self._answer("/v1/embed", request, Embeddings)

    def explain(self, request: ExplainRequest) -> Explanation:
        """What a request would find in the cache."""
        return self._answer("/v1/cache/explain", request, Explanation)

    def recompute(self, request: RecomputeRequest) -> Generator[Recomputing | Recomputed, None, None]:
        """How many blocks have been computed again; the last is `Recomputed`. Close the iterator to end it."""
        return self._events("/v1/cache/recompute", request, msgspec.json.Decoder(RecomputeEvent), Recomputed)

    def adapters(self, action: AdapterAction, request: AdapterRequest) -> AdapterList:
        """The adapters that are attached to a model after `action`."""
        return self._answer(f"/v1/adapters/{action}", request, AdapterList)

    def _status(self, timeout_s: float) -> DaemonStatus | None:
        if not self.answers():
            return None
        try:
            with self._connector.ask("GET", "/v1/status", timeout_s=timeout_s) as response:
                return self._connector.decoded(response.read(), DaemonStatus)
        except DaemonUnreachable as error:
            if isinstance(error.__cause__, FileNotFoundError | ConnectionRefusedError):
                return None  # it has ended since it was found
            raise

    def _got(self, path: str, kind: type[Decoded]) -> Decoded:
        with self._connector.ask("GET", path) as response:
            return self._connector.decoded(response.read(), kind)

    def _answer(self, path: str, body: msgspec.Struct, kind: type[Decoded]) -> Decoded:
        with self._connector.ask("POST", path, body) as response:
            return self._connector.decoded(response.read(), kind)

    def _events(
        self, path: str, body: msgspec.Struct, decoder: msgspec.json.Decoder[Decoded | Failure], last: type
    ) -> Generator[Decoded, None, None]:
        with self._connector.ask("POST", path, body) as response:
            while line := response.readline():
                event = self._connector.checked(decoder.decode, line)
                if isinstance(event, Failure):
                    raise RemoteError(event)
                yield event
                if isinstance(event, last):
                    return
        raise DaemonLost(log=self._directories.daemon_log)


def _path_of(session: str) -> str:
    return f"/v1/sessions/{quote(session, safe='')}"
