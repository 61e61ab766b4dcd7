"""Errors that know their own message, hint and exit code."""

from __future__ import annotations

from string import Formatter
from typing import Any, ClassVar, Self


class _Quoting(Formatter):
    """`str.format` with `{name!q}`: a name as a shell would have it, in quotes if it holds a space or the like."""

    def convert_field(self, value: Any, conversion: Any) -> Any:
        if conversion != "q":
            return super().convert_field(value, conversion)
        from shlex import quote

        return quote(str(value))


class ErllamaError(Exception):
    """Something went wrong."""

    # The docstring of every class below this one is its message: `str.format` fills it with the keyword
    # arguments of the constructor, and `hint` too. Line breaks become spaces. {name!q} is a name that may hold spaces:
    # it is quoted where a shell would want it quoted.

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1
    hint: str | None = None
    registry: ClassVar[dict[str, type[ErllamaError]]] = {}

    def __init_subclass__(cls) -> None:
        ErllamaError.registry[cls.code] = cls

    def __init__(self, **details: object) -> None:
        template = " ".join((type(self).__doc__ or self.code).split())
        super().__init__(_Quoting().format(template, **details))
        self.details = details
        if self.hint is not None:
            self.hint = _Quoting().format(self.hint, **details)

    def with_hint(self, hint: str, **details: object) -> Self:
        """The same error where something else helps than usual; `details` fill the hint, if there are any."""
        self.hint = _Quoting().format(hint, **details) if details else hint
        return self


class CacheUnwritable(ErllamaError):
    """The cache directory {path} cannot be written: {reason}."""

    code = "cache_unwritable"
    hint = "Give yourself write permission on {path}, or set XDG_CACHE_HOME to a directory you can write."


class CacheUnreadable(ErllamaError):
    """The cache directory {path} cannot be read: {reason}."""

    code = "cache_unreadable"
    hint = "Give yourself read permission on {path}; deleting it costs only time."


class CacheUnlockable(ErllamaError):
    """The cache directory {path} cannot be shared safely: {reason}."""

    code = "cache_unlockable"
    hint = "Files in it cannot be locked; set XDG_CACHE_HOME to a directory on a local file system."


class CacheFull(ErllamaError):
    """A block of {needed} bytes does not fit into the disk cache of {quota} bytes."""

    code = "cache_full"
    hint = "Raise the disk quota: what is left in the cache is in use, or holds up other blocks."


class ParentGone(ErllamaError):
    """The block that {key} extends is not on disk."""

    code = "parent_gone"
    hint = "Nothing to do: it is saved with its whole chain when that is used next."


class WriteBudgetSpent(ErllamaError):
    """The {quota} bytes that may be written to the cache in a day are written."""

    code = "write_budget_spent"
    hint = "Saving goes on tomorrow. Raise cache.write_bytes_per_day to save more in a day."


class ArchiveUnreadable(ErllamaError):
    """The archive {path} cannot be read: {reason}."""

    code = "archive_unreadable"
    hint = "It has to be a file that erllama cache export wrote, and whole."


class ArchiveUnwritable(ErllamaError):
    """The archive {path} cannot be written: {reason}."""

    code = "archive_unwritable"
    hint = "Name a file in a folder where you may write and there is room."


class KeyUnknown(ErllamaError):
    """There is no block {key} in the cache."""

    code = "key_unknown"
    hint = "See what there is with: erllama cache ls"


class ModelNotCached(ErllamaError):
    """Nothing of a model {model!q} is in the cache."""

    code = "model_not_cached"
    hint = "See what is there with: erllama cache ls"


class KeyAmbiguous(ErllamaError):
    """{count} blocks have a key that begins with {key}."""

    code = "key_ambiguous"
    hint = "Write more of it."


class BlockCorrupt(ErllamaError):
    """The block file {path} is damaged: {reason}."""

    code = "block_corrupt"
    hint = "Set it aside with: erllama cache verify --repair. Its tokens are read again when they are needed."


class IndexUnusable(ErllamaError):
    """The cache index {path} cannot be used: {reason}."""

    code = "index_unusable"
    hint = "Delete {path}; the next start rebuilds it from the block files."
