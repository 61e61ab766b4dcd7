"""What /set changes: how the next answers are made and shown."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from erllama_cli.config.defaults import usual
from erllama_cli.options.naming import said_of_options
from erllama_cli.talk.registry import ChatCommand
from erllama_cli.talk.told import tell, tell_columns
from erllama_cli.talk.window import Window
from erllama_daemon.errors import RequestInvalid
from erllama_daemon.messages import CompleteRequest, Message
from erllama_daemon.messages.checks import check_complete

DEFAULT = "default"
_SWITCH = ("on", "off")
_HINT = "/set shows all settings, with what each is now."


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of /set. `change` gets the value as it was typed and raises RequestInvalid."""

    key: str
    summary: str
    shown: Callable[[Window], str]
    change: Callable[[Window, str], None]
    values: tuple[str, ...] = (DEFAULT,)


def set_(window: Window, argument: str) -> None:
    """Show all settings, or one, or change it."""
    key, *values = argument.split(maxsplit=1)[:2] if argument else [""]
    if not key:
        tell_columns([(setting.key, setting.shown(window), setting.summary) for setting in SETTINGS.values()])
        return
    setting = _setting(key)
    if values:
        try:
            setting.change(window, values[0].strip())
        except RequestInvalid as error:
            raise error.with_hint(_HINT) from None
    tell(f"{setting.key}: {setting.shown(window)}")


def _setting(key: str) -> Setting:
    key = key.replace("_", "-").lower()
    if key not in SETTINGS:
        begun = [each for each in SETTINGS if each.startswith(key)]
        near = begun or difflib.get_close_matches(key, SETTINGS, n=3) or list(SETTINGS)
        raise RequestInvalid(reason=f"there is no setting {key!r}; there is {', '.join(near)}").with_hint(_HINT)
    return SETTINGS[key]


def _of_sampling(key: str, kind: type[int] | type[float], summary: str, *, unset: str | None = None) -> Setting:
    """A sampler key. With `unset`, it may have no value, which is called so."""
    field = key.replace("-", "_")

    def shown(window: Window) -> str:
        value = getattr(window.conversation.request.sampling, field)
        return unset or "" if value is None else f"{value:g}" if kind is float else str(value)

    def change(window: Window, text: str) -> None:
        request = window.conversation.request
        value: Any = (None if unset else usual(field)) if text in (DEFAULT, unset) else _number(key, kind, text)
        _take(
            window,
            msgspec.structs.replace(request, sampling=msgspec.structs.replace(request.sampling, **{field: value})),
        )

    return Setting(key, summary, shown, change, (DEFAULT,) if unset is None else (unset,))


def _number(key: str, kind: type[int] | type[float], text: str) -> int | float:
    try:
        return kind(text)
    except ValueError:
        wanted = "a whole number" if kind is int else "a number"
        raise RequestInvalid(reason=f"{key} takes {wanted}, not {text!r}") from None


def _take(window: Window, request: CompleteRequest) -> None:
    """Ask so from now on. Raises what the daemon would say of it."""
    with said_of_options(mark=""):
        check_complete(msgspec.structs.replace(request, messages=[Message("user", ["?"])]))
    window.conversation.request = request


def _change_max_tokens(window: Window, text: str) -> None:
    count = usual("max_tokens") if text == DEFAULT else _number("max-tokens", int, text)
    if count < 1:
        raise RequestInvalid(reason="max-tokens must be 1 or more")
    _take(window, msgspec.structs.replace(window.conversation.request, max_tokens=int(count)))


def _change_overflow(window: Window, text: str) -> None:
    choice = _chosen("overflow", text, _OVERFLOWS)
    _take(window, msgspec.structs.replace(window.conversation.request, overflow=choice))


def _shown_thinking(window: Window) -> str:
    wanted = window.conversation.display.thinking
    return DEFAULT if wanted is None else _SWITCH[not wanted]


def _change_thinking(window: Window, text: str) -> None:
    choice = _chosen("thinking", text, (*_SWITCH, DEFAULT))
    wanted = None if choice == DEFAULT else choice == "on"
    window.conversation.display = window.conversation.display.but(thinking=wanted)


def _change_stats(window: Window, text: str) -> None:
    wanted = _chosen("stats", text, _SWITCH) == "on"
    window.conversation.display = window.conversation.display.but(stats=wanted)


def _change_markdown(window: Window, text: str) -> None:
    wanted = _chosen("markdown", text, _SWITCH) == "on"
    window.conversation.display = window.conversation.display.but(markdown=wanted)


def _change_status(window: Window, text: str) -> None:
    window.shows_status = _chosen("status", text, _SWITCH) == "on"


def _chosen(key: str, text: str, choices: tuple[str, ...]) -> str:
    if text not in choices:
        raise RequestInvalid(reason=f"{key} takes {' or '.join(choices)}, not {text!r}")
    return text


_OVERFLOWS = ("stop", "drop", "summarize")
_ALL = (
    _of_sampling("temperature", float, "How freely to choose; 0 always takes the likeliest."),
    _of_sampling("top-k", int, "Choose among the likeliest K tokens; 0 is all of them."),
    _of_sampling("top-p", float, "Choose among the likeliest that add up to P."),
    _of_sampling("min-p", float, "Leave out what is less likely than P times the top."),
    _of_sampling("repeat-penalty", float, "Make tokens that came lately less likely; 1 is off."),
    _of_sampling("seed", int, "Choose the same way again.", unset="random"),
    Setting(
        "max-tokens",
        "Stop an answer after so many tokens.",
        lambda window: str(window.conversation.request.max_tokens),
        _change_max_tokens,
    ),
    Setting(
        "overflow",
        "A full context: stop, drop old turns or summarize.",
        lambda window: window.conversation.request.overflow,
        _change_overflow,
        _OVERFLOWS,
    ),
    Setting(
        "thinking",
        "Show what a thinking model says before its answer.",
        _shown_thinking,
        _change_thinking,
        (*_SWITCH, DEFAULT),
    ),
    Setting(
        "markdown",
        "Draw the answer as Markdown.",
        lambda window: _SWITCH[not window.conversation.display.markdown],
        _change_markdown,
        _SWITCH,
    ),
    Setting(
        "stats",
        "Show what each answer took.",
        lambda window: _SWITCH[not window.conversation.display.stats],
        _change_stats,
        _SWITCH,
    ),
    Setting(
        "status",
        "Show model, context and speed under the prompt.",
        lambda window: _SWITCH[not window.shows_status],
        _change_status,
        _SWITCH,
    ),
)
SETTINGS = {setting.key: setting for setting in _ALL}

COMMANDS = (ChatCommand("set", "[KEY [VALUE]]", "Show or change how answers are made.", set_, "setting"),)
