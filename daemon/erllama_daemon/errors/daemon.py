"""The daemon cannot be reached, or has no time."""

from __future__ import annotations

from erllama_cache.errors import ErllamaError
from erllama_daemon.errors.exit_codes import EXIT_FAILED, EXIT_UNREACHABLE, EXIT_USAGE


class DaemonUnreachable(ErllamaError):
    """The daemon cannot be reached at {socket}: {reason}."""

    code = "daemon_unreachable"
    exit_code = EXIT_UNREACHABLE
    hint = "Look at its log: {log}"


class GivenSocketUnreachable(DaemonUnreachable):
    """No daemon answers at {socket}, where ERLLAMA_SOCKET points: {reason}."""

    code = "given_socket_unreachable"
    exit_code = EXIT_UNREACHABLE
    hint = "Connect it again, or unset ERLLAMA_SOCKET to ask this machine's own daemon."


class DaemonInUse(ErllamaError):
    """The daemon is in use: {why}."""

    code = "daemon_in_use"
    exit_code = EXIT_FAILED
    hint = "To end it all the same: erllama daemon stop"


class DaemonStopping(ErllamaError):
    """The daemon is stopping and takes no new requests."""

    code = "daemon_stopping"
    exit_code = EXIT_UNREACHABLE
    hint = "Ask again once it has ended."


class DaemonLost(ErllamaError):
    """The daemon went away in the middle of the answer."""

    code = "daemon_lost"
    exit_code = EXIT_UNREACHABLE
    hint = "Ask again, in a chat with /retry: it starts by itself. Its log: {log}"


class DaemonIncompatible(ErllamaError):
    """What the daemon at {socket}, of {theirs}, says makes no sense to this command, of version {ours}."""

    code = "daemon_incompatible"
    exit_code = EXIT_UNREACHABLE
    hint = "Update erllama if it is older, or have a daemon of its version: erllama daemon restart"


class DaemonStillRuns(ErllamaError):
    """The daemon (process {pid}) has not ended within {seconds:.0f} s."""

    code = "daemon_still_runs"
    exit_code = EXIT_FAILED
    hint = "Look at its log: {log}"


class DaemonAlreadyRuns(ErllamaError):
    """A daemon already listens at {socket}."""

    code = "daemon_already_runs"
    exit_code = EXIT_FAILED
    hint = "It serves every command. Stop it first to run another: erllama daemon stop"


class DaemonLocked(ErllamaError):
    """A daemon that does not answer holds {lock}."""

    code = "daemon_locked"
    exit_code = EXIT_FAILED
    hint = "If it does not end by itself, look for its process with: fuser {lock}"


class SessionsInUse(ErllamaError):
    """The conversations in {path} are in the care of a daemon at another socket."""

    code = "sessions_in_use"
    exit_code = EXIT_FAILED
    hint = "Stop that one, or give this one a data folder of its own with XDG_DATA_HOME."


class ListenerUnusable(ErllamaError):
    """The socket that the daemon was started with cannot be served: {reason}."""

    code = "listener_unusable"
    exit_code = EXIT_FAILED
    hint = "It takes one ListenStream= with an absolute path in the socket unit."


class CacheElsewhere(ErllamaError):
    """ERLLAMA_SOCKET points at another daemon, and this command works on the cache of this machine, {path}."""

    code = "cache_elsewhere"
    exit_code = EXIT_USAGE
    hint = "Run it where that daemon runs, or without ERLLAMA_SOCKET for the cache here."


class SocketPathTooLong(ErllamaError):
    """The socket path {socket} has {length} bytes; a Unix socket allows {limit}."""

    code = "socket_path_too_long"
    exit_code = EXIT_UNREACHABLE
    hint = "Set XDG_RUNTIME_DIR to a shorter folder, or ERLLAMA_SOCKET to a shorter path."


class Busy(ErllamaError):
    """{waiting} requests to {model!q} are waiting already."""

    code = "busy"
    exit_code = EXIT_FAILED
    hint = "Ask again in a while."


class SlotsBusy(ErllamaError):
    """All {count} slots are taken."""

    code = "slots_busy"
    exit_code = EXIT_FAILED
    hint = "A request waits until one is free; it is answered then."


class AnswerCutOff(ErllamaError):
    """The daemon was stopped before the answer was complete."""

    code = "answer_cut_off"
    exit_code = EXIT_FAILED
    hint = "Ask again, in a chat with /retry: what was read and answered so far is in the cache."


class InternalError(ErllamaError):
    """Something went wrong inside: {reason}."""

    code = "internal"
    exit_code = EXIT_FAILED
    hint = "The daemon's log has the details."
