"""Words that other programs have for what is called otherwise here."""

from __future__ import annotations

from collections.abc import Mapping

ELSEWHERE: Mapping[str, str] = {
    "pull": "`erllama models pull`",
    "list": "`erllama models ls`, and `erllama sessions ls` for the conversations",
    "ls": "`erllama models ls`, and `erllama sessions ls` for the conversations",
    "show": "`erllama models info`, and `erllama sessions show` for a conversation",
    "info": "`erllama models info`",
    "rm": "`erllama sessions rm` for conversations, and `erllama cache evict` for what is cached of them",
    "stop": "`erllama unload` for a model, and `erllama daemon stop` for all",
    "serve": "`erllama daemon run`, and any command starts a daemon that it needs by itself",
    "start": "`erllama daemon start`",
    "status": "`erllama daemon status`",
    "restart": "`erllama daemon restart`",
    "logs": "`erllama daemon logs`",
    "install": "`erllama models pull` for a model, and `erllama daemon install` for the daemon as a service",
    "generate": "`erllama run`",
    "resume": "`erllama chat --continue`",
    "continue": "`erllama chat --continue`",
    "help": "`erllama --help`, and --help after any command",
    "version": "`erllama --version`",
}
"""What each is here. No command has such a name."""
