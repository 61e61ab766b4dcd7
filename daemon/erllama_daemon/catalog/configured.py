"""How the configuration has a model's file loaded."""

from __future__ import annotations

import contextlib
from functools import cache
from pathlib import Path

from msgspec.structs import replace

from erllama_cache.errors import ErllamaError
from erllama_daemon.catalog.find import find_target
from erllama_daemon.catalog.stores import stored_models
from erllama_daemon.config import Config
from erllama_daemon.messages import ModelOptions


def configured_options(config: Config, file: Path) -> ModelOptions:
    """What `[load]` and `[policy]` say, and over that the tables of each model that is this file, whatever links lead
    to it.

    Of two names for one file the later in the configuration comes over the earlier.
    """
    load, policy, stored = config.load, config.policy, cache(stored_models)
    for name, model in config.models.items():
        with contextlib.suppress(ErllamaError):  # a model that is not there is not this one
            if find_target(config.aliases.get(name, name), name, stored).resolve() == file.resolve():
                load, policy = model.load.over(load), model.policy.over(policy)
    return replace(load.options, policy=policy)
