"""`python -m erllama_daemon.worker`: the worker process, as the daemon starts it."""

import sys

from erllama_daemon.worker.process import main

if __name__ == "__main__":
    sys.exit(main())
