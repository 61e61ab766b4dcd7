"""The models that the daemon runs, each in a worker process of its own. The endpoints and the server import it."""
