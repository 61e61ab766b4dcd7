"""A copy of the file that the user edits until it is valid."""

from __future__ import annotations

import codecs
import contextlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from erllama_cli.asking import Left, ask_line
from erllama_cli.config.change import rewrite
from erllama_cli.config.template import template
from erllama_cli.failures import failure_of, print_failure
from erllama_daemon.config.settings import settings_of
from erllama_daemon.directories import Directories, create_private
from erllama_daemon.errors import (
    ConfigDraftKept,
    ConfigInvalid,
    ConfigMoved,
    ConfigUnwritable,
    EditorFailed,
    RequestInvalid,
)

_USUAL_EDITOR = "vi"


def edit_draft(directories: Directories) -> bool:
    """Has the user edit the file; whether it is different now.

    Raises RequestInvalid without a terminal, EditorFailed, ConfigUnwritable, and ConfigDraftKept or ConfigMoved: then
    the draft stays where it is.
    """
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout)):
        raise RequestInvalid(reason="`config edit` needs a terminal; elsewhere there is `erllama config set`")
    file = directories.config_file
    try:
        before = file.read_bytes().removeprefix(codecs.BOM_UTF8).decode() if file.exists() else ""
        draft = _new_draft(file, before or template())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise ConfigUnwritable(path=file, reason=(reason or str(error)).lower()) from error
    return _edited(directories, draft, before)


def _edited(directories: Directories, draft: Path, before: str) -> bool:
    first = draft.read_bytes()
    try:
        _run_editor(draft)
        while draft.read_bytes() != first and (problem := _problem(directories.config_file, draft)) is not None:
            print_failure(failure_of(problem))
            if not _wants_again():
                raise ConfigDraftKept(draft=draft)
            _run_editor(draft)
        if (after := draft.read_bytes()) == first:
            draft.unlink()
            return False
        changed = _take(directories, draft, before, after.decode())
    except EditorFailed:
        if draft.read_bytes() == first:
            draft.unlink()
        raise
    draft.unlink()
    return changed


def _new_draft(file: Path, text: str) -> Path:
    create_private(file.parent)
    number, name = tempfile.mkstemp(prefix="draft-", suffix=".toml", dir=file.parent)
    with os.fdopen(number, "w", encoding="utf-8", newline="") as draft:
        draft.write(text)
    return Path(name)


def _run_editor(draft: Path) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or _USUAL_EDITOR
    try:
        with _left_to_the_editor(signal.SIGINT):
            done = subprocess.run([*shlex.split(editor), str(draft)], check=False)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise EditorFailed(editor=editor, reason=reason.lower()) from error
    if done.returncode != 0:
        raise EditorFailed(editor=editor, reason=f"it ended with {done.returncode}")


@contextlib.contextmanager
def _left_to_the_editor(number: signal.Signals) -> Iterator[None]:
    """A signal that the terminal sends to both does nothing here."""
    usual = signal.signal(number, lambda _number, _frame: None)  # SIG_IGN would be the editor's too
    try:
        yield
    finally:
        signal.signal(number, usual)


def _problem(file: Path, draft: Path) -> ConfigInvalid | None:
    try:
        settings_of(file, draft.read_bytes())
    except ConfigInvalid as error:
        return error
    return None


def _wants_again() -> bool:
    try:
        return ask_line("Edit it again? [Y/n]").casefold()[:1] != "n"
    except Left:
        return False


def _take(directories: Directories, draft: Path, before: str, after: str) -> bool:
    """Puts the draft in the place of the file, unless that is not any more what was edited."""

    def replaced(text: str) -> str:
        if text != before:
            raise ConfigMoved(path=directories.config_file, draft=draft)
        return after

    return rewrite(directories, replaced)
