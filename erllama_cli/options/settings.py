"""Options that configure one process."""

from __future__ import annotations

from typing import Annotated

import typer

from erllama_cli.completion.candidates import complete_setting

Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Configure this daemon otherwise than the file and the environment do. May be given several times.",
        autocompletion=complete_setting,
    ),
]
Http = Annotated[
    str | None,
    typer.Option(
        "--http",
        metavar="ADDRESS:PORT",
        help="Serve on TCP too, as 127.0.0.1:8080, to who has the key that `erllama daemon key` prints; port 0 is any "
        "that is free.",
    ),
]
_HTTP = "daemon.http"
_LOG_PROMPTS = "daemon.log_prompts=true"
_LOG_PROMPTS_OPTION = "--log-prompts"
LogPrompts = Annotated[
    bool, typer.Option(_LOG_PROMPTS_OPTION, help="Log what is asked and answered, private requests apart.")
]


def with_named(settings: list[str] | None, *, http: str | None, log_prompts: bool) -> list[str]:
    """What is set, each KEY=VALUE, also by the options that have names of their own."""
    named = [f"{_HTTP}={http}"] if http is not None else []
    return [*(settings or []), *named, *([_LOG_PROMPTS] if log_prompts else [])]


def as_options(settings: list[str]) -> list[str]:
    """Words of a command line that set these, each KEY=VALUE."""
    words: list[str] = []
    for each in settings:
        key, _, value = each.partition("=")
        if key == _HTTP:
            words += ["--http", value]
        else:
            words += [_LOG_PROMPTS_OPTION] if each == _LOG_PROMPTS else ["--set", each]
    return words
