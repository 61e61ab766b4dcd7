"""Which objects each command prints under `--json`. For the documentation and the tests: no command imports it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from erllama_cache.stats import StoreStats
from erllama_cache.tending.garbage import Garbage
from erllama_cache.tending.verification import Verdict
from erllama_cli.results.batch import BatchAnswer, BatchFailure
from erllama_cli.results.cache import (
    BlockList,
    CacheTree,
    ChainList,
    ExportReport,
    ImportReport,
    PinReport,
    RemovalReport,
    Warmed,
)
from erllama_cli.results.config import ChangedConfig, ConfigPath, ShownConfig
from erllama_cli.results.daemon import Installed, Log, Restarted, ShownKey, Started, Stopped, Uninstalled
from erllama_cli.results.doctor import Examination
from erllama_cli.results.loaded import LoadedModels
from erllama_cli.results.models import Aliases, Pulled
from erllama_cli.results.sessions import (
    ExportedSessions,
    ForkedSession,
    Imported,
    Removed,
    RenamedSession,
    ShownSession,
)
from erllama_cli.results.verification import RecomputedVerdict
from erllama_daemon.messages import (
    Activity,
    AdapterList,
    Catalog,
    DaemonStatus,
    Detokenized,
    Embeddings,
    Evicted,
    Explanation,
    ModelInfo,
    ModelStatus,
    Reloaded,
    RenderedPrompt,
    SessionList,
    Setting,
    Stats,
    Tokenized,
    Unloaded,
)

PRINTED: Mapping[str, tuple[type[msgspec.Struct], ...]] = {
    "adapter load": (AdapterList,),
    "adapter ls": (AdapterList,),
    "adapter scale": (AdapterList,),
    "adapter unload": (AdapterList,),
    "cache clear": (RemovalReport,),
    "cache evict": (Evicted, RemovalReport),
    "cache explain": (Explanation,),
    "cache export": (ExportReport,),
    "cache gc": (Garbage,),
    "cache import": (ImportReport,),
    "cache ls": (ChainList, BlockList),
    "cache pin": (PinReport,),
    "cache stats": (StoreStats,),
    "cache tree": (CacheTree,),
    "cache unpin": (PinReport,),
    "cache verify": (Verdict, RecomputedVerdict),
    "cache warm": (Warmed,),
    "chat": (Stats,),
    "config get": (Setting,),
    "config path": (ConfigPath,),
    "config set": (ChangedConfig,),
    "config show": (ShownConfig,),
    "config unset": (ChangedConfig,),
    "daemon install": (Installed,),
    "daemon key": (ShownKey,),
    "daemon logs": (Log,),
    "daemon reload": (Reloaded,),
    "daemon restart": (Restarted,),
    "daemon start": (Started,),
    "daemon status": (DaemonStatus,),
    "daemon stop": (Stopped,),
    "daemon uninstall": (Uninstalled,),
    "detokenize": (Detokenized,),
    "doctor": (Examination,),
    "embed": (Embeddings,),
    "load": (ModelStatus,),
    "models alias": (Aliases,),
    "models info": (ModelInfo,),
    "models ls": (Catalog,),
    "models pull": (Pulled,),
    "ps": (LoadedModels,),
    "render": (RenderedPrompt,),
    "run": (Stats, BatchAnswer, BatchFailure),
    "sessions export": (ExportedSessions,),
    "sessions fork": (ForkedSession,),
    "sessions import": (Imported,),
    "sessions ls": (SessionList,),
    "sessions rename": (RenamedSession,),
    "sessions rm": (Removed,),
    "sessions show": (ShownSession,),
    "tokenize": (Tokenized,),
    "top": (Activity,),
    "unload": (Unloaded,),
}
"""The words of a command, and its objects: the first one by default, others as its options demand."""

LINES: Mapping[str, str] = {
    "chat": "An object a turn, each on a line of its own.",
    "run": "With --batch, an object a record, each on a line of its own.",
    "top": "With --count, so many objects, each on a line of its own.",
}
"""Commands that print more than one object, and when."""

WITHOUT_JSON: Mapping[str, str] = {
    "config edit": "It is a conversation with the user, in an editor.",
    "daemon run": "It becomes the daemon; what that prints is a log.",
}
"""Commands that have no `--json`, and why."""
