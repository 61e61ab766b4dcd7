"""What a client is told when something goes wrong."""

from __future__ import annotations

import logging

from erllama_cache.errors import ErllamaError
from erllama_daemon.errors import InternalError
from erllama_daemon.messages import Failure, RemoteError

log = logging.getLogger(__name__)


def code_of(error: Exception) -> str:
    """The code of what the client is told of an error."""
    if isinstance(error, RemoteError):
        return error.failure.code
    return error.code if isinstance(error, ErllamaError) else InternalError.code


def failure_of(error: Exception) -> Failure:
    """What the client is told of an error; one that has no name is a defect, and is logged."""
    if isinstance(error, ErllamaError):
        return Failure.of(error)
    log.error("an error without a name", exc_info=error)
    return Failure.of(InternalError(reason=repr(error)))
