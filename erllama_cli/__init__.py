"""The command line: one module a command. It asks the daemon and draws the answer."""
