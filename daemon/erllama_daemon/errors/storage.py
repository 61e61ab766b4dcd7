"""All the conversations: their database, and what is brought into it or out."""

from __future__ import annotations

from erllama_cache.errors import ErllamaError
from erllama_daemon.errors.exit_codes import EXIT_FAILED


class ImportUnreadable(ErllamaError):
    """The conversations in {path} cannot be read: {reason}."""

    code = "import_unreadable"
    exit_code = EXIT_FAILED
    hint = (
        "It takes what erllama sessions export wrote, or messages with their roles;"
        " what cache export wrote is for cache import."
    )


class ImportTooNew(ErllamaError):
    """The conversations in {path} were exported by a newer erllama (format {found}; this one knows {known})."""

    code = "import_too_new"
    exit_code = EXIT_FAILED
    hint = "Update erllama; nothing of them was taken in."


class ExportUnwritable(ErllamaError):
    """The conversations cannot be written to {path}: {reason}."""

    code = "export_unwritable"
    exit_code = EXIT_FAILED
    hint = "Name a file in a folder where you may write and there is room."


class SessionsTooNew(ErllamaError):
    """The conversations at {path} were written by a newer erllama (format {found}; this one knows {known})."""

    code = "sessions_too_new"
    exit_code = EXIT_FAILED
    hint = "Update erllama; they are left as they are."


class SessionsUnusable(ErllamaError):
    """The conversations at {path} cannot be used: {reason}."""

    code = "sessions_unusable"
    exit_code = EXIT_FAILED
    hint = "They have to be a file that you may read and write, and that erllama wrote."

    def __init__(self, *, path: object, reason: object) -> None:
        super().__init__(path=path, reason=reason)
        # SQLite's errors know their names; they are not imported, for that takes time.
        name = str(getattr(reason, "sqlite_errorname", ""))
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            self.hint = "Another program is writing in them; end it, or ask again when it is done."
        elif name.startswith(("SQLITE_FULL", "SQLITE_IOERR_WRITE")):
            self.hint = "Make room on the disk."
        elif name.startswith(_DAMAGE) or type(reason).__module__.startswith("msgspec"):
            self.hint = "What can still be read is rescued when the daemon starts anew: erllama daemon stop"


_DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR_READ", "SQLITE_IOERR_SHORT_READ")


class TurnUnwritten(SessionsUnusable):
    """The answer cannot be written to {path} yet: {reason}. It is kept, and written as soon as that is possible."""

    code = "turn_unwritten"
    hint = "Leave the conversation open until then; it takes room on the disk, and permission to write there."


class DiskFull(ErllamaError):
    """There is no room at {path} for an answer ({reason}), so nothing was asked."""

    code = "disk_full"
    exit_code = EXIT_FAILED
    hint = "Make room on the disk, a few megabytes, and ask again."
