"""Many questions in one command: how they are told apart, asked together, and answered in order."""
