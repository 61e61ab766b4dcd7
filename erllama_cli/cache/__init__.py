"""Look into the cache, and tend it: one module a command."""
