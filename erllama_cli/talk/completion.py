"""What Tab adds to a line that begins with a slash."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from erllama_cache.errors import ErllamaError
from erllama_cli.talk.commands import COMMANDS
from erllama_cli.talk.settings import SETTINGS
from erllama_cli.talk.window import Window

_DEMO = "demo"


class SlashCompleter(Completer):
    """Completes commands and their arguments. Where the daemon fails, there is nothing to complete."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._files = PathCompleter(expanduser=True)
        self._models = PathCompleter(expanduser=True, file_filter=lambda name: name.endswith(".gguf"))

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """What could stand before the cursor."""
        line = document.text_before_cursor
        if not line.startswith("/") or line.startswith("//"):
            return
        name, space, argument = line[1:].partition(" ")
        if not space:
            yield from _begun(line, [f"/{command}" for command in COMMANDS])
        elif name in COMMANDS:
            with contextlib.suppress(ErllamaError):
                yield from self._of_argument(COMMANDS[name].argument, argument.lstrip(), complete_event)

    def _of_argument(self, kind: str, text: str, event: CompleteEvent) -> Iterator[Completion]:
        path = Document(text)
        match kind:
            case "command":
                yield from _begun(text, list(COMMANDS))
            case "setting":
                key, space, value = text.partition(" ")
                known = SETTINGS[key].values if key in SETTINGS else ()
                yield from _begun(value, known) if space else _begun(text, list(SETTINGS))
            case "turn":
                yield from _begun(text, ["0", *(turn.name for turn in self._window.conversation.turns())])
            case "file":
                yield from self._files.get_completions(path, event)
            case "adapter":
                yield from self._models.get_completions(path, event)
            case "model":
                yield from _begun(text, self._known_models())
                yield from self._models.get_completions(path, event)

    def _known_models(self) -> list[str]:
        status = self._window.conversation.client().status()
        loaded = [model.id for model in status.models] if status else []
        return [*dict.fromkeys([_DEMO, self._window.conversation.session.model, *loaded])]


def _begun(text: str, known: Iterable[str]) -> Iterator[Completion]:
    for word in known:
        if word.startswith(text):
            yield Completion(word, start_position=-len(text))
