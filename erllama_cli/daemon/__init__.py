"""The process behind every command: one module a command."""
