"""The daemon's own process, with another program as its workers: the words of `HARD_WORKER`, a JSON list."""

from __future__ import annotations

import json
import os
import sys

from hard.own_daemon import VARIABLE

from erllama_daemon.models import supervisor

supervisor.WORKER_COMMAND = tuple(json.loads(os.environ[VARIABLE]))

if __name__ == "__main__":
    from erllama_daemon.server import main  # which takes the command as it is now

    sys.exit(main())
