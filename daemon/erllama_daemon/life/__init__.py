"""The daemon's own life: how it was started, where it listens, what it logs, when it ends. The server imports it."""
