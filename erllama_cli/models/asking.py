"""The models that there are, by the daemon if there is one, or else by looking here. No daemon is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from erllama_cli.client import Client
from erllama_daemon.directories import Directories, user_directories
from erllama_daemon.messages import Catalog, ModelInfo, ModelInfoRequest

if TYPE_CHECKING:
    from erllama_daemon.catalog.listing import Listing


def known_models() -> Catalog:
    """Every model that can be named. Raises as `Client`, and ConfigInvalid."""
    directories = user_directories()
    catalog = Client(directories).catalog()
    if catalog is not None:
        return catalog
    return _listing(directories).catalog()


def model_info(request: ModelInfoRequest) -> ModelInfo:
    """One model. Raises as `Client`, as `find_model`, and ModelUnreadable."""
    directories = user_directories()
    info = Client(directories).model_info(request)
    if info is not None:
        return info
    return _listing(directories).info(request)


def _listing(directories: Directories) -> Listing:
    from erllama_daemon.catalog.listing import Listing
    from erllama_daemon.config import read_config

    return Listing(directories.cache, lambda: read_config(directories.config_file))
