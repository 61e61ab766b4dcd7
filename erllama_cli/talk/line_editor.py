"""A line that can be edited: many lines long, with what was typed before, and completed by Tab."""

from __future__ import annotations

from prompt_toolkit import PromptSession
from prompt_toolkit.history import History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import create_output
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.shortcuts import CompleteStyle

from erllama_cli.talk.completion import SlashCompleter
from erllama_cli.talk.figures import status_figures
from erllama_cli.talk.keys import TypedKeys
from erllama_cli.talk.told import PROMPT
from erllama_cli.talk.typed_lines import TypedLines
from erllama_cli.talk.window import Window

_CONTINUED = "... "


class LineEditor:
    """Enter sends the line, Alt-Enter and Ctrl-J break it; what is pasted never sends it."""

    edits = True

    def __init__(self, window: Window) -> None:
        self._window = window
        self._completer = SlashCompleter(window)
        conversation = window.conversation
        self._typed: History = InMemoryHistory()
        if not conversation.session.private:
            self._typed = TypedLines(conversation.directories.data / "typed-lines")
        self._keys = TypedKeys()
        self._has_status = False
        self._prompt = self._new_prompt()

    def read(self, draft: str, /) -> str:
        """As `LineReader.read`."""
        if self._has_status != self._window.shows_status:
            self._has_status = self._window.shows_status
            self._prompt = self._new_prompt()
        try:
            return self._prompt.prompt(default=draft)
        finally:
            self._mark_pastes(marked=True)  # for what is pasted while nobody reads

    def close(self) -> None:
        """As `LineReader.close`."""
        self._mark_pastes(marked=False)

    def _mark_pastes(self, *, marked: bool) -> None:
        output = self._prompt.output
        (output.enable_bracketed_paste if marked else output.disable_bracketed_paste)()
        output.flush()

    def _new_prompt(self) -> PromptSession[str]:
        output = create_output()
        if isinstance(output, Vt100_Output):
            # Only the status line needs to know where the cursor is, and not every terminal answers when it is asked.
            output.enable_cpr = self._has_status
        return PromptSession(
            PROMPT,
            input=self._keys,
            output=output,
            multiline=True,
            prompt_continuation=_CONTINUED,
            history=self._typed,
            completer=self._completer,
            complete_while_typing=False,
            complete_style=CompleteStyle.READLINE_LIKE,
            enable_open_in_editor=True,
            enable_suspend=True,
            tempfile_suffix=".md",
            key_bindings=_bindings(),
            bottom_toolbar=(lambda: status_figures(self._window.conversation)) if self._has_status else None,
        )


def _bindings() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _send(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter")
    @keys.add("c-j")
    def _break(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys
