"""Which conversation a command goes on with: found, begun or forked, and with which model."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from erllama_cli.asking import Left, ask_letter, ask_line, can_ask
from erllama_cli.client import Client
from erllama_cli.conversation.hold import Hold
from erllama_cli.drawing.progress import Waiting
from erllama_cli.failures import failure_of, print_failure
from erllama_cli.loading import await_loaded
from erllama_cli.model import resolve_model, same_model
from erllama_cli.one_line import one_line
from erllama_cli.options.opening import OpeningOptions
from erllama_daemon.errors import (
    ModelMissing,
    RequestInvalid,
    SessionAmbiguous,
    SessionModelDiffers,
    SessionModelMissing,
    SessionNameTaken,
    SessionOpen,
    SessionPrivate,
    SessionUnknown,
)
from erllama_daemon.messages import Message, ModelOptions, ModelRequest, RemoteError, Session

_OPEN = "{called} is open in another window. [f]ork it, [w]ait until it is closed, [q]uit?"
_OTHER_MODEL = (
    "This is another model (or quantization) than before: everything ({tokens:,} tokens) is read again."
    " [g]o on here, [f]ork, [q]uit?"
)
_MOVED = "The model {model} is not there any more. Where is it now (empty leaves)?"


@dataclass(frozen=True, slots=True)
class Opened:
    """A conversation to go on with; `is_new` if this command began it, `origin` is what this command forked it from."""

    session: Session
    is_new: bool = False
    origin: Session | None = None


@dataclass(frozen=True, kw_only=True)
class Opening:
    """How a chat comes to its conversation.

    `model` and `other_model` are MODEL and --model as the daemon understands them, `loading` how they are loaded. A
    chat that `is_window` stays open, and holds its conversation as long. With `quiet`, no progress is shown.
    """

    client: Client
    hold: Hold
    options: OpeningOptions
    model: str | None
    other_model: str | None
    loading: ModelOptions
    private: bool
    is_window: bool
    quiet: bool

    def open(self) -> Opened:
        """The conversation. Nothing is forked or changed before all questions are answered; scripts are asked none.

        Raises Left, what the daemon answers, and SessionModelDiffers, SessionModelMissing, SessionOpen and
        SessionPrivate.
        """
        found = self._found()
        if found.is_new:
            if self.is_window and not found.session.private:
                self.hold.move(found.session.id)
            return found
        session, forks = self._held(found.session)
        origin = session
        model = self._model_from_now_on(session, forks=forks)
        forks = forks or self._forks_for_model(session, model)
        if forks:  # first: the original keeps its model
            session = self.client.fork(origin, name=self.options.name)
            if self.is_window:
                self.hold.move(session.id)
        if model is not None:
            session = self.client.change_session(session, model=model)
        return Opened(session, origin=origin if forks else None)

    def _found(self) -> Opened:
        options = self.options
        if self.model is None or options.fork:
            return Opened(find_session(self.client, options))
        if options.session is None:
            return Opened(self.client.new_session(self.model, private=self.private, name=options.name), is_new=True)
        return find_or_begin(self.client, options.session, self.model)

    def _held(self, session: Session) -> tuple[Session, bool]:
        """The conversation as it is once this command may go on with it, and whether it is to be forked."""
        if self.options.fork:
            return session, True
        if not (self.is_window or self.options.if_open) or self.hold.move(session.id):
            return session, False
        match self.options.if_open or _asked_of_open(session):
            case "fork" | "f":
                return session, True
            case "wait" | "w":
                if can_ask() and not self.quiet:
                    print("Waiting until it is closed; Ctrl-C leaves.", file=sys.stderr)
                self.hold.await_move(session.id)
                return self.client.session(session.id), False
            case "q":
                raise Left
            case _:
                raise SessionOpen(session=session.called)

    def _model_from_now_on(self, session: Session, *, forks: bool) -> str | None:
        """What it is to go on with; None if that is the model it has."""
        given = self.other_model or (self.model if forks else None)
        if given is not None:
            return None if same_model(given, session.model) else given
        if not _is_gone(session.model):
            return None
        if self.is_window and can_ask():
            return _asked_model(session.model)
        raise SessionModelMissing(model=session.model, called=session.called, session=session.id)

    def _forks_for_model(self, session: Session, model: str | None) -> bool:
        """Whether the user would rather fork a conversation than have another model go on with it."""
        if not (self.is_window and can_ask()) or session.fingerprint is None:
            return False
        request = ModelRequest(model=model or session.model, options=self.loading)
        status = await_loaded(self.client, request, Waiting(shown=not self.quiet))
        # With adapters attached, this is the fingerprint of both together, and a turn's that of the model alone.
        if status.adapters or status.fingerprint == session.fingerprint:
            return False
        answer = ask_letter(_OTHER_MODEL.format(tokens=session.tokens), "gfq")
        if answer == "q":
            raise Left
        return answer == "f"


def find_session(client: Client, options: OpeningOptions) -> Session:
    """The conversation that was used last, or that the options name.

    Raises what the daemon answers, and SessionPrivate.
    """
    return _kept(client.latest_session() if options.session is None else client.session(options.session))


def find_or_begin(client: Client, name: str, model: str) -> Opened:
    """The conversation with `model` of exactly this name or id, or a new one of this name.

    The beginning of an id is not enough: nobody who names a new conversation shall hit upon an old one by chance.
    Raises what the daemon answers, SessionModelDiffers and SessionPrivate.
    """
    found = _find_exactly(client, name)
    if found is None:
        try:
            return Opened(client.new_session(model, name=name), is_new=True)
        except RemoteError as error:
            if error.failure.code != SessionNameTaken.code:
                raise
            found = client.session(name)  # another command was faster
    if not same_model(model, found.model):
        raise SessionModelDiffers(called=found.called, session=found.id, model=found.model, given=model)
    return Opened(found)


def system_at_start(session: Session, system: list[Message], *, is_given: bool) -> list[Message]:
    """What of `system` goes with the next turn: nothing, if the conversation has begun with just that.

    Raises RequestInvalid if it has begun with another one, unless the configuration and no option gave it.
    """
    if not (session.messages and system):
        return system
    if not is_given:
        return []
    in_force = next((message.text for message in reversed(session.messages) if message.role == "system"), "")
    if system[-1].text != in_force:
        raise RequestInvalid(reason=f"--system belongs at the start, and {session.called} has begun without it")
    return []


def tell_which(opened: Opened) -> None:
    """Say on a terminal which conversation it is."""
    if sys.stderr.isatty() and not opened.is_new:
        called, copied = one_line((opened.origin or opened.session).called), "a copy of " if opened.origin else ""
        print(f"Goes on with {copied}{called} ({opened.session.id}).", file=sys.stderr)


def _find_exactly(client: Client, name: str) -> Session | None:
    try:
        found = _kept(client.session(name))
    except RemoteError as error:
        if error.failure.code not in (SessionUnknown.code, SessionAmbiguous.code):
            raise
        return None
    return found if name in (found.name, found.id) else None


def _kept(session: Session) -> Session:
    if session.private:
        raise SessionPrivate(session=session.id)
    return session


def _asked_of_open(session: Session) -> str:
    return ask_letter(_OPEN.format(called=one_line(session.called)), "fwq") if can_ask() else "fail"


def _asked_model(moved: str) -> str:
    while answer := ask_line(_MOVED.format(model=moved)):
        try:
            return resolve_model(str(Path(answer).expanduser()) if answer.startswith("~/") else answer)
        except (ModelMissing, RequestInvalid) as error:
            print_failure(failure_of(error))
    raise Left


def _is_gone(model: str) -> bool:
    return model.startswith(os.sep) and not Path(model).exists()
