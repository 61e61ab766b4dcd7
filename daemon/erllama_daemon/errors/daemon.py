"""The daemon cannot be reached, or has no time."""

from __future__ import annotations

from erllama_cache.errors import ErllamaError
from erllama_daemon.errors.exit_codes import EXIT_FAILED, EXIT_UNREACHABLE


class DaemonUnreachable(ErllamaError):
    """The daemon cannot be reached at {socket}: {reason}."""

    code = "daemon_unreachable"
    exit_code = EXIT_UNREACHABLE
    hint = "Look at its log: {log}"


class DaemonLost(ErllamaError):
    """The daemon went away in the middle of the answer."""

    code = "daemon_lost"
    exit_code = EXIT_UNREACHABLE
    hint = "Ask again, in a chat with /retry: it starts by itself. Its log: {log}"


class DaemonIncompatible(ErllamaError):
    """What the daemon at {socket} says makes no sense to this command."""

    code = "daemon_incompatible"
    exit_code = EXIT_UNREACHABLE
    hint = "It may be of another version; stop it with: erllama daemon stop"


class DaemonStillRuns(ErllamaError):
    """The daemon (process {pid}) has not ended within {seconds:.0f} s."""

    code = "daemon_still_runs"
    exit_code = EXIT_FAILED
    hint = "Look at its log: {log}"


class DaemonAlreadyRuns(ErllamaError):
    """A daemon already listens at {socket}."""

    code = "daemon_already_runs"
    exit_code = EXIT_FAILED


class SocketPathTooLong(ErllamaError):
    """The socket path {socket} has {length} bytes; a Unix socket allows {limit}."""

    code = "socket_path_too_long"
    exit_code = EXIT_UNREACHABLE
    hint = "Set XDG_RUNTIME_DIR to a shorter folder."


class Busy(ErllamaError):
    """{waiting} requests to {model} are waiting already."""

    code = "busy"
    exit_code = EXIT_FAILED
    hint = "Ask again in a while."


class AnswerCutOff(ErllamaError):
    """The daemon was stopped before the answer was complete."""

    code = "answer_cut_off"
    exit_code = EXIT_FAILED


class InternalError(ErllamaError):
    """Something went wrong inside: {reason}."""

    code = "internal"
    exit_code = EXIT_FAILED
    hint = "The daemon's log has the details."
