"""What `--json` prints where it is no message of the daemon: one group of commands a file."""
