"""The daemon as a service of the system, and where its log is."""

from __future__ import annotations

from erllama_cache.errors import ErllamaError
from erllama_daemon.errors.exit_codes import EXIT_FAILED, EXIT_UNREACHABLE


class DaemonNotRunning(ErllamaError):
    """No daemon runs at {socket}."""

    code = "daemon_not_running"
    exit_code = EXIT_UNREACHABLE
    hint = "Start it with: erllama daemon start"


class LogMissing(ErllamaError):
    """There is no log at {log} yet."""

    code = "log_missing"
    exit_code = EXIT_FAILED
    hint = "The first command that starts the daemon begins one: erllama daemon start"


class LogUnreadable(ErllamaError):
    """The log {log} cannot be read: {reason}."""

    code = "log_unreadable"
    exit_code = EXIT_FAILED
    hint = "Give yourself read permission on {log}."


class LogInJournal(ErllamaError):
    """The daemon (process {pid}) was started by systemd and logs to its journal."""

    code = "log_in_journal"
    exit_code = EXIT_FAILED
    hint = "Read it with: journalctl --user -u erllama"


class LogOnTerminal(ErllamaError):
    """The daemon (process {pid}) runs in the foreground and logs to where it was started."""

    code = "log_on_terminal"
    exit_code = EXIT_FAILED
    hint = "Read it there; `erllama daemon run` logs to where it is typed."


class LogElsewhere(ErllamaError):
    """ERLLAMA_SOCKET points at another daemon, whose log is where it runs."""

    code = "log_elsewhere"
    exit_code = EXIT_FAILED
    hint = "Run it there, or without ERLLAMA_SOCKET for the log of the daemon here."


class UnitForeign(ErllamaError):
    """{path} is there and was not written by erllama."""

    code = "unit_foreign"
    exit_code = EXIT_FAILED
    hint = "Move it away, or have it written over with --force."


class UnitUnwritable(ErllamaError):
    """{path} cannot be written: {reason}."""

    code = "unit_unwritable"
    exit_code = EXIT_FAILED
    hint = "Give yourself write permission on its folder, and there has to be room on the disk."


class UnitUnremovable(ErllamaError):
    """{path} cannot be removed: {reason}."""

    code = "unit_unremovable"
    exit_code = EXIT_FAILED
    hint = "Remove it yourself, or give yourself write permission on its folder."


class ServiceRefused(ErllamaError):
    """{command} failed: {reason}."""

    code = "service_refused"
    exit_code = EXIT_FAILED
    hint = "The files are written; type that command yourself to see more."
