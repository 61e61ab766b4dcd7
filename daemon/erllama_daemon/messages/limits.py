"""How much a request may ask to be followed."""

from __future__ import annotations

GRAMMAR_BYTES_LIMIT = 256 << 10
"""Of a grammar, and of all tools together."""

JSON_SCHEMA_BYTES_LIMIT = 64 << 10
"""Of a JSON schema; a tool's parameters are one."""
