"""`python -m erllama_daemon`: the daemon in the foreground."""

import sys

from erllama_daemon.server import main

if __name__ == "__main__":
    sys.exit(main())
