"""The id of the request on whose behalf something is done."""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""None where nothing was asked. The tasks and threads that a request starts have its id too."""

REQUEST_ID_HEADER = "x-request-id"

_SANE = re.compile(r"[!-~]{1,64}")


def request_id_of(given: bytes | None) -> str:
    """What the client calls its request, if that is one word of at most 64 printable ASCII characters; or a new id."""
    text = "" if given is None else given.decode("latin-1").strip()
    return text if _SANE.fullmatch(text) else f"req_{secrets.token_hex(8)}"


def current_request_id() -> str:
    """The id of the request that is served; a new one where there is none."""
    return REQUEST_ID.get() or request_id_of(None)
