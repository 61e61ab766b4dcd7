"""GBNF, and which grammars llama.cpp can be trusted with. Only `llama` imports it."""
