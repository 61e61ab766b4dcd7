"""A token-exact, two-tier cache of KV state. It knows tokens, bytes and files; nothing of models or terminals.

Start with `erllama_cache.store.Store`. Importing the package alone imports nothing, so that a command that only needs
to name an error does not wait for a database.
"""
