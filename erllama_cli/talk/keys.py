"""The keys that are pressed, as they come from the terminal."""

from __future__ import annotations

import sys

from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.keys import Keys

_BREAKS = (Keys.ControlJ, Keys.ControlM, Keys.BracketedPaste)


class TypedKeys(Vt100Input):
    """Keys where a line feed is Ctrl-J, unless it ends a whole line that comes in one piece: then it is Enter.

    A line that was typed while nobody read comes so, for until then the terminal turned Enter into a line feed; and a
    program that types sends lines so. Text of several lines, which was pasted, stays as it is.
    """

    def __init__(self) -> None:
        super().__init__(sys.stdin)

    def read_keys(self) -> list[KeyPress]:
        """The keys that came since."""
        keys = super().read_keys()
        if len(keys) > 1 and keys[-1].key == Keys.ControlJ and not any(key.key in _BREAKS for key in keys[:-1]):
            keys[-1] = KeyPress(Keys.ControlM, "\r")
        return keys
