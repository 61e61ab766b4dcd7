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
        "ls": "Show what is on disk: a row for each conversation and for each other way that blocks end.",
        "tree": "Show shared beginnings as a tree: which system prompt carries which conversations.",
        "explain": "Show what `erllama run` or `chat` would find of a prompt in the cache now, and why not more.",
        "warm": "Read documents into the cache, each as `cat FILE | erllama run MODEL 'a question'` will.",
        "evict": "Save what a model holds live and let it go; or delete blocks from the disk.",
        "clear": "Delete everything in the cache, on disk and in memory, but what is pinned.",
        "gc": "Give back the room of what is of no use to anybody, and enforce the quota.",
        "verify": "Check every block on disk: its checksums, its key, its place in its chain, and the index.",
        "pin": "Keep chains on disk, whatever has to make room: up to a block, or up to where a conversation is now.",
        "unpin": "Let evictions take chains again that were pinned by the same names.",
        "export": "Put chains into a file, to go on with them on another machine: erllama cache import.",
        "import": "Take in what was exported elsewhere: blocks, and the conversations that they belong to.",
    },
)

DAEMON = Group(
    "See, stop or run the daemon. It starts by itself when a command needs it.",
    "  erllama daemon status\n  erllama daemon logs -f\n  erllama daemon install",
    {
        "start": "Start the daemon, unless it runs. Returns when it answers.",
        "status": "Show the daemon and the models it holds. Ends with 4 if none runs; starts none.",
        "stop": "Stop the daemon once it has saved what it holds. Does nothing if none runs.",
        "restart": "Stop the daemon once it has saved what it holds, and start it anew; starts it if none runs.",
        "reload": "Have the daemon read its configuration again; what runs is not disturbed.",
        "logs": "Print the last lines of the daemon's log.",
        "run": "Run the daemon here, in the foreground, until Ctrl-C.",
        "install": "Have systemd or launchd start the daemon when it is needed, and look after it.",
        "uninstall": "Undo what `erllama daemon install` did: the service ends, saved, and its files are removed.",
    },
)

SESSIONS = Group(
    "Look at the conversations that are kept, and tend them.",
    "  erllama sessions ls\n  erllama sessions show build\n"
    '  erllama sessions fork build "another way" --turn 5\n  erllama sessions export build -o build.md',
    {
        "ls": "Show the conversations, the one used last first.",
        "show": "Show what was said in a conversation, turn by turn.",
        "rm": "Delete conversations, with all that only they have in the cache.",
        "rename": "Give a conversation another name, or none.",
        "fork": "Begin a second conversation with the turns of one.",
        "export": "Put conversations into a file, as JSON or as Markdown.",
        "import": "Take in conversations that were exported elsewhere.",
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
        "chat": "Talk with a model; the conversation is kept at every turn and can be resumed, even after a crash.",
        "tokenize": "Print the token ids of a text.",
        "detokenize": "Print the text of some tokens, with control tokens written out.",
        "render": "Print what the model would be asked, without asking it.",
        "embed": "Print a vector of length 1 for each text, as a JSON array on a line of its own.",
        "load": "Load a model, or load it again with other options. Returns when it is ready.",
        "unload": "Save what a model holds and let it go, once its requests are done. Starts no daemon.",
        "ps": "Show the models that are loaded. Starts no daemon: without one, there are none.",
        "adapter": ADAPTER,
        "cache": CACHE,
        "daemon": DAEMON,
        "doctor": "Check that erllama works here, and say what to do where it does not.",
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
