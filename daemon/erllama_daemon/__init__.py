"""The daemon: an HTTP application on a Unix socket, and one worker process for each loaded model."""

__version__ = "0.1.0"
