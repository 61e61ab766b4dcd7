"""Which knobs of the policy the configuration turns for a model's file."""

from __future__ import annotations

import contextlib
from pathlib import Path

from erllama_cache.errors import ErllamaError
from erllama_cache.policy import PolicyKnobs
from erllama_daemon.config import Config
from erllama_daemon.models.file import find_model


def configured_policy(config: Config, file: Path) -> PolicyKnobs:
    """The knobs of `[policy]`, and over them those of each model that is this file, whatever links lead to it.

    Of two names for one file the later in the configuration comes over the earlier.
    """
    policy = config.policy
    for name, model in config.models.items():
        with contextlib.suppress(ErllamaError):  # a model that is not there is not this one
            if find_model(name).resolve() == file.resolve():
                policy = model.policy.over(policy)
    return policy
