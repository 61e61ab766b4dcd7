"""Look at the conversations that are kept, and tend them: one module a command."""
