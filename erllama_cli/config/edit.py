"""`erllama config edit`: the file in the user's editor."""

from __future__ import annotations

import sys

from erllama_cli import options
from erllama_cli.failures import reported_failures

EXAMPLES = """\b
Examples:
  erllama config edit
  VISUAL=nano erllama config edit"""


def edit(debug: options.Debug = False) -> None:
    """Open the file in your editor, and check what you have written.

    The editor is what VISUAL or EDITOR says, or else vi. It gets a copy: what is not valid never takes the place of the
    file. If there is none yet, every key is there as a comment. Needs a terminal.
    """
    with reported_failures(debug=debug):
        from erllama_cli.config.draft import edit_draft
        from erllama_cli.config.outcome import AFTER_RESTART, daemon_takes
        from erllama_daemon.directories import user_directories

        directories = user_directories()
        changed = edit_draft(directories)
        takes = daemon_takes(directories) if changed else "nothing"
        print("changed" if changed else "nothing has changed")
        if takes == "after_restart":
            print(AFTER_RESTART, file=sys.stderr)
