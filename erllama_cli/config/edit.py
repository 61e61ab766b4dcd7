"""`erllama config edit`: the file in the user's editor."""

from __future__ import annotations

from erllama_cli import options
from erllama_cli.failures import reported_failures

EXAMPLES = """\b
Examples:
  erllama config edit
  VISUAL=nano erllama config edit"""


def edit(quiet: options.Quiet = False, debug: options.Debug = False) -> None:
    """Open the file in your editor, and check what you have written.

    The editor is what VISUAL or EDITOR says, or else vi. It gets a copy: what is not valid never takes the place of the
    file. If there is none yet, every key is there as a comment. Needs a terminal.
    """
    with reported_failures(debug=debug):
        from erllama_cli.config.draft import edit_draft
        from erllama_daemon.directories import user_directories

        changed = edit_draft(user_directories())
        if not quiet:
            print("changed" if changed else "nothing has changed")
