"""The configuration is not what it should be, or cannot be changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from erllama_cache.errors import ErllamaError
from erllama_daemon.errors.exit_codes import EXIT_FAILED, EXIT_USAGE


class ConfigInvalid(ErllamaError):
    """The configuration {where} is not valid:{reason}."""

    code = "config_invalid"
    exit_code = EXIT_USAGE
    hint = "Mend it with `erllama config edit`, or move it away: every key in it may be left out."

    @classmethod
    def of(cls, path: Path, in_file: Sequence[str], elsewhere: Sequence[str] = ()) -> Self:
        """All that is wrong in the file `path`, and in the environment or an option."""
        problems = [*in_file, *elsewhere]
        reason = f" {problems[0]}" if len(problems) == 1 else "\n  " + ".\n  ".join(problems)
        error = cls(where=path if in_file else "of this process", reason=reason)
        if not in_file:
            error.hint = "`erllama config show --all` has every key, with its variable."
        return error


class ConfigKeyInvalid(ErllamaError):
    """{problem}."""

    code = "config_key_invalid"
    exit_code = EXIT_USAGE
    hint = "`erllama config show --all` has every key, with what it is for."


class ConfigKeyUnset(ErllamaError):
    """{key} is not set; its default is {default}."""

    code = "config_key_unset"
    exit_code = EXIT_FAILED
    hint = "`erllama config show` has what is in force. To set it: erllama config set {key} VALUE"


class ConfigUnwritable(ErllamaError):
    """The configuration {path} cannot be written: {reason}."""

    code = "config_unwritable"
    exit_code = EXIT_FAILED
    hint = "Give yourself write permission on its folder, and there has to be room on the disk."


class ConfigUnchangeable(ErllamaError):
    """The configuration {path} is written such that {key} cannot be changed without touching anything else."""

    code = "config_unchangeable"
    exit_code = EXIT_FAILED
    hint = "Nothing has changed. Change it by hand: erllama config edit"


class ConfigMoved(ErllamaError):
    """The configuration {path} was changed by somebody else meanwhile."""

    code = "config_moved"
    exit_code = EXIT_FAILED
    hint = "Your draft is kept: {draft}"


class ConfigDraftKept(ErllamaError):
    """The draft is not valid, and the configuration stays as it was."""

    code = "config_draft_kept"
    exit_code = EXIT_USAGE
    hint = "Your draft is kept: {draft}"


class EditorFailed(ErllamaError):
    """The editor `{editor}` did not do its work: {reason}."""

    code = "editor_failed"
    exit_code = EXIT_FAILED
    hint = "The configuration stays as it was. Set VISUAL or EDITOR to the editor that you want."
