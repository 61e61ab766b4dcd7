"""What nobody thought of."""

from __future__ import annotations

from erllama_cache.errors import ErllamaError
from erllama_daemon.errors.exit_codes import EXIT_FAILED


class Unexpected(ErllamaError):
    """Something unexpected went wrong: {kind}: {reason}"""

    code = "unexpected"
    exit_code = EXIT_FAILED
    hint = "Run it again with --debug to see where."
