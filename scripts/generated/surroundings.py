"""What a command finds around it: variables of the environment, and files."""

from __future__ import annotations

from collections.abc import Mapping

ENVIRONMENT: Mapping[str, str] = {
    "ERLLAMA_SOCKET": "Where the daemon's socket is, if elsewhere: for example that of another machine.",
    "XDG_CONFIG_HOME": "Where the configuration is; ~/.config if it is not set.",
    "XDG_DATA_HOME": "Where the conversations are kept; ~/.local/share if it is not set.",
    "XDG_CACHE_HOME": "Where the cache is; ~/.cache if it is not set.",
    "XDG_STATE_HOME": "Where the daemon's log is; ~/.local/state if it is not set.",
    "XDG_RUNTIME_DIR": "Where the daemon's socket is, in a path that must be short. Usually the system sets it.",
    "NO_COLOR": "Set to anything, nothing is coloured.",
    "TERM": "What the terminal can do; with `dumb`, nothing is drawn.",
    "COLUMNS": "How wide a line may be; as wide as the terminal if it is not set.",
    "VISUAL, EDITOR": "What Ctrl-X Ctrl-E opens in a chat.",
}

FILES: Mapping[str, str] = {
    "$XDG_CONFIG_HOME/erllama/config.toml": "The configuration. It need not be there.",
    "$XDG_DATA_HOME/erllama/": "The conversations. Yours to keep.",
    "$XDG_CACHE_HOME/erllama/": "The cache. Deleting it costs only time.",
    "$XDG_STATE_HOME/erllama/log/": "What the daemon prints.",
    "$XDG_RUNTIME_DIR/erllama/": "The daemon's socket and locks.",
}
