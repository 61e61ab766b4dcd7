"""Every command by its name, with its summary. Its module has the same name: the folders are the groups.

Nothing here imports a command, so that what only lists them takes no longer than reading this page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple


class Group(NamedTuple):
    """Commands under one name: what they are for, examples of them, and each one's summary, or the group it is."""

    help: str
    examples: str
    commands: Mapping[str, str | Group]


ADAPTER = Group(
    "Attach LoRA adapters to a model, for every request.\n\nA request in flight keeps what it began with.",
    "  erllama adapter load demo pirate.gguf\n  erllama adapter ls demo",
    {
        "load": "Attach an adapter, and show what is attached.",
        "unload": "Detach an adapter, and show what is still attached.",
        "scale": "Change how strongly an adapter is applied.",
        "ls": "Show the adapters that are attached to a model.",
    },
)

CACHE = Group(
    "Look into the cache, and tend it.",
    "  erllama cache stats\n  erllama cache tree\n"
    "  erllama cache evict --older-than 30d --dry-run\n  erllama cache export 3f2a -o llamas.tar",
    {
        "stats": "Show how full both tiers are, and what they have done.",
        "ls": "Show what is on disk: each conversation, and what else there is.",
        "tree": "Show as a tree which beginnings are shared, and by what.",
        "explain": "Show what a prompt would find in the cache, and why not more.",
        "warm": "Read documents into the cache before they are asked about.",
        "evict": "Save what a model holds live; or delete blocks from the disk.",
        "clear": "Delete everything in the cache that is not pinned.",
        "gc": "Remove what is of no use to anybody, and enforce the quota.",
        "verify": "Check every block on disk, and the index.",
        "pin": "Keep chains on disk, whatever has to make room.",
        "unpin": "Let evictions take pinned chains again.",
        "export": "Put chains into a file, to go on with them on another machine.",
        "import": "Take in blocks and conversations that were exported elsewhere.",
    },
)

CONFIG = Group(
    "See and change what is configured, key by key.",
    "  erllama config show\n  erllama config set cache.disk_bytes 50GiB\n  erllama config edit",
    {
        "show": "Show every key: its value, where that comes from, what it is for.",
        "get": "Print the value of a key, and nothing else.",
        "set": "Set a key in the file; its comments and its order stay.",
        "unset": "Take a key out of the file, so that its default holds again.",
        "edit": "Open the file in your editor, and check what you have written.",
        "path": "Print where the file is, or would be.",
    },
)

DAEMON = Group(
    "See, stop or run the daemon.\n\nIt starts by itself when a command needs it.",
    "  erllama daemon status\n  erllama daemon logs -f\n  erllama daemon install",
    {
        "start": "Start the daemon, unless it runs. Returns when it answers.",
        "status": "Show the daemon and the models it holds.",
        "stop": "Stop the daemon once it has saved what it holds.",
        "restart": "Stop the daemon once it has saved what it holds, and start it anew.",
        "reload": "Have the daemon read its configuration again.",
        "key": "Print the key that clients on TCP have to show.",
        "logs": "Print the last lines of the daemon's log.",
        "run": "Run the daemon here, in the foreground, until Ctrl-C.",
        "install": "Have systemd or launchd start the daemon when it is needed.",
        "uninstall": "Undo what `erllama daemon install` did.",
    },
)

SESSIONS = Group(
    "Look at the conversations that are kept, and tend them.",
    "  erllama sessions ls\n  erllama sessions show build\n"
    '  erllama sessions fork build "another way" --turn 5\n  erllama sessions export build -o build.md',
    {
        "ls": "Show the conversations, the one used last first.",
        "show": "Show what was said in a conversation, turn by turn.",
        "rm": "Delete conversations, and what only they have in the cache.",
        "rename": "Give a conversation another name, or none.",
        "fork": "Begin a second conversation with the turns of one.",
        "export": "Put conversations into a file, as JSON or as Markdown.",
        "import": "Take in conversations that were exported elsewhere.",
    },
)

MODELS = Group(
    "See which models there are, fetch more, and give them names.\n\n"
    "MODEL is `demo`, the path of a GGUF file, an alias, or a name in the cache of Hugging Face, Ollama, LM Studio or "
    "llama.cpp, whose models are used where they are.",
    "  erllama models ls\n  erllama models info demo --ctx 8192\n"
    "  erllama models pull ORG/REPO:Q4_K_M\n  erllama models alias small ORG/REPO:Q4_K_M",
    {
        "ls": "Show the models that can be named, those of other programs too.",
        "info": "Show what a model is, and the memory it will take.",
        "pull": "Fetch a model from a hub into the cache of Hugging Face.",
        "alias": "Give a model a name of your own, or show or remove such names.",
    },
)

ERLLAMA = Group(
    "Give a local language model a memory.\n\n"
    "A daemon keeps what the model has read, token by token, in memory and on disk: a prompt that begins like an "
    "earlier one, or a chat from last week, goes on where it left off.",
    '  erllama run demo "Why do llamas hum?"\n'
    '  cat LICENSE | erllama run demo "Who may copy this?"\n'
    "  erllama chat demo\n"
    "  erllama chat --continue",
    {
        "run": "Print one answer, token by token.",
        "chat": "Talk with a model. Every turn is kept, and can be resumed.",
        "tokenize": "Print the token ids of a text.",
        "detokenize": "Print the text of some tokens.",
        "render": "Print what the model would be asked, without asking it.",
        "embed": "Print a vector for each text, as JSON on a line of its own.",
        "load": "Load a model, or load it again with other options.",
        "unload": "Save what a model holds, and let it go.",
        "ps": "Show the models that are loaded.",
        "top": "Watch models, requests and the cache at work.",
        "adapter": ADAPTER,
        "cache": CACHE,
        "config": CONFIG,
        "daemon": DAEMON,
        "doctor": "Check that erllama works here, and say what to do if not.",
        "models": MODELS,
        "sessions": SESSIONS,
    },
)


def each_command(group: Group = ERLLAMA, words: str = "") -> Iterator[tuple[str, str]]:
    """Every command below `group`, which is called by `words`: its own words and its summary."""
    for name, command in group.commands.items():
        if isinstance(command, Group):
            yield from each_command(command, f"{words}{name} ")
        else:
            yield f"{words}{name}", command
