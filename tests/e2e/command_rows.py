"""What is tried of each command: arguments with which it succeeds and with which it fails, and what its examples need.

The words are those of a `Stage`, where 0f3a and 3f2a stand for a conversation and 9b04c1 for a block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from erllama_daemon.errors import EXIT_FAILED, EXIT_MODEL, EXIT_UNREACHABLE, EXIT_USAGE

UNREACHABLE = {"XDG_RUNTIME_DIR": f"/tmp/{'d' * 100}"}
"""An environment in which no socket can be: its path would be too long."""

MISSING = ("./nowhere.gguf",)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One command. It succeeds with `works`; with `otherwise` it succeeds too, and prints the other object that it can.
    With `fails` it ends with `code`, in an `environment` if one is given.

    `before` are lines of a shell that each of its examples needs; `unrun` are examples that cannot be run, and why.
    With --quiet it prints nothing, unless what it prints is its `answer`. `stdin` is for all of it.
    """

    works: Sequence[str] = ()
    otherwise: Sequence[str] = ()
    fails: Sequence[str] = MISSING
    code: int = EXIT_MODEL
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: str = ""
    before: Sequence[str] = ()
    unrun: Mapping[str, str] = field(default_factory=dict)
    placeholders: Mapping[str, str] = field(default_factory=dict)
    answer: bool = False


_NO_CHAT = "nobody"
_HANDLE = {"0f3a": "PIRATE"}
_ATTACHED = ("erllama adapter load demo pirate.gguf -q",)

ROWS: Mapping[str, Row] = {
    "run": Row(
        works=("demo", "Hum.", "-n", "2"),
        otherwise=("demo", "--batch", "question.txt", "-n", "2"),
        fails=(*MISSING, "Hum."),
        answer=True,
    ),
    "chat": Row(works=("demo", "-n", "2"), stdin="Hum.", answer=True),
    "tokenize": Row(works=("demo", "Hum."), fails=(*MISSING, "Hum."), answer=True),
    "detokenize": Row(works=("demo", "9690", "28"), fails=("demo", "llama"), code=EXIT_USAGE, answer=True),
    "render": Row(works=("demo", "Hum."), fails=("demo", " "), code=EXIT_USAGE, answer=True),
    "embed": Row(works=("demo", "llama"), fails=("demo", ""), code=EXIT_USAGE, answer=True),
    "load": Row(works=("demo",)),
    "unload": Row(works=("demo",), fails=("demo",), code=EXIT_UNREACHABLE, environment=UNREACHABLE),
    "ps": Row(code=EXIT_UNREACHABLE, fails=(), environment=UNREACHABLE),
    "top": Row(
        before=("erllama daemon start -q",),
        works=("--once",),
        fails=(),
        code=EXIT_UNREACHABLE,
        environment=UNREACHABLE,
    ),
    "adapter load": Row(works=("demo", "pirate.gguf"), fails=("demo", "nowhere.gguf")),
    "adapter unload": Row(
        works=("demo", "pirate.gguf"), fails=(*MISSING, "ffff"), before=_ATTACHED, placeholders=_HANDLE
    ),
    "adapter scale": Row(
        works=("demo", "pirate.gguf", "0.5"),
        fails=("demo", "ffff", "1"),
        code=EXIT_FAILED,
        before=_ATTACHED,
        placeholders=_HANDLE,
    ),
    "adapter ls": Row(works=("demo",), answer=True),
    "cache stats": Row(code=EXIT_UNREACHABLE, fails=(), environment=UNREACHABLE),
    "cache ls": Row(otherwise=("--blocks",), fails=("--session", _NO_CHAT), code=EXIT_FAILED),
    "cache tree": Row(fails=("--session", _NO_CHAT), code=EXIT_FAILED),
    "cache explain": Row(works=("demo", "Hum."), fails=(), code=EXIT_USAGE, answer=True),
    "cache warm": Row(works=("demo", "report.txt"), fails=(*MISSING, "report.txt")),
    "cache evict": Row(works=("demo",), otherwise=("--older-than", "30d", "--dry-run"), fails=(), code=EXIT_USAGE),
    "cache clear": Row(fails=(), code=EXIT_UNREACHABLE, environment=UNREACHABLE),
    "cache gc": Row(fails=(), code=EXIT_UNREACHABLE, environment=UNREACHABLE),
    "cache verify": Row(otherwise=("--recompute", "1", "--model", "demo"), fails=("--recompute", "3"), code=EXIT_USAGE),
    "cache pin": Row(works=("3f2a",), fails=(_NO_CHAT,), code=EXIT_FAILED),
    "cache unpin": Row(works=("3f2a",), fails=(_NO_CHAT,), code=EXIT_FAILED),
    "cache export": Row(works=("3f2a", "-o", "exported.tar"), fails=(_NO_CHAT, "-o", "nothing.tar"), code=EXIT_FAILED),
    "cache import": Row(works=("llamas.tar",), fails=("LICENSE",), code=EXIT_FAILED),
    "config show": Row(fails=(), code=EXIT_USAGE, environment={"ERLLAMA_LOAD_CTX": "all"}),
    "config get": Row(works=("load.keep_alive",), fails=("load.kep_alive",), code=EXIT_USAGE),
    "config set": Row(works=("load.keep_alive", "20m"), fails=("load.ctx", "0"), code=EXIT_USAGE),
    "config unset": Row(works=("load.keep_alive",), fails=("load.kep_alive",), code=EXIT_USAGE),
    "config edit": Row(
        unrun=dict.fromkeys(
            ("erllama config edit", "VISUAL=nano erllama config edit"), "It needs a terminal; it has tests of its own."
        )
    ),
    "config path": Row(fails=("x",), code=EXIT_USAGE),
    "daemon start": Row(
        fails=(),
        code=EXIT_UNREACHABLE,
        environment=UNREACHABLE,
        unrun={
            "erllama daemon start --http 127.0.0.1:8080": "The port may be another program's; it has a test of its own."
        },
    ),
    "daemon restart": Row(fails=(), code=EXIT_UNREACHABLE, environment=UNREACHABLE),
    "daemon reload": Row(fails=(), code=EXIT_UNREACHABLE, environment=UNREACHABLE, before=("erllama daemon start -q",)),
    "daemon key": Row(fails=(), code=EXIT_FAILED, environment={"XDG_DATA_HOME": "/dev/null"}, answer=True),
    "daemon logs": Row(
        fails=("-n", "x"),
        code=EXIT_USAGE,
        unrun={"erllama daemon logs -f": "It runs until Ctrl-C; it has tests of its own."},
        answer=True,
    ),
    "daemon install": Row(
        works=("--systemd", "--dry-run"),
        fails=("--nonsense",),
        code=EXIT_USAGE,
        unrun={"erllama daemon install": "It would change the user's services; it has tests of its own."},
    ),
    "daemon uninstall": Row(
        works=("--systemd", "--dry-run"),
        fails=("--nonsense",),
        code=EXIT_USAGE,
        unrun={"erllama daemon uninstall": "It would change the user's services; it has tests of its own."},
    ),
    "doctor": Row(works=("--no-answer",), fails=("--nonsense",), code=EXIT_USAGE, answer=True),
    "daemon status": Row(before=("erllama daemon start -q",), fails=(), code=EXIT_UNREACHABLE, environment=UNREACHABLE),
    "daemon stop": Row(fails=(), code=EXIT_UNREACHABLE, environment=UNREACHABLE),
    "daemon run": Row(
        unrun=dict.fromkeys(
            (
                "erllama daemon run",
                "erllama daemon run --http 127.0.0.1:8080",
                "erllama daemon run --set cache.ram_bytes=4GiB --set load.keep_alive=forever",
            ),
            "It runs until it is told to end; it has a test of its own.",
        )
    ),
    "models ls": Row(fails=(), code=EXIT_UNREACHABLE, environment=UNREACHABLE, answer=True),
    "models info": Row(works=("demo",)),
    "models alias": Row(
        works=("small", "demo"), fails=("small", *MISSING), before=("erllama models alias small demo -q",)
    ),
    "models pull": Row(
        works=("org/tiny:F32",),
        fails=("org/nowhere",),
        unrun=dict.fromkeys(
            (
                "erllama models pull ggml-org/gemma-3-1b-it-GGUF",
                "erllama models pull Qwen/Qwen3-4B-GGUF:Q8_0 && erllama chat Qwen/Qwen3-4B-GGUF:Q8_0",
            ),
            "It would fetch gigabytes; it has tests of its own, with a hub on this machine.",
        ),
    ),
    "sessions ls": Row(fails=(), code=EXIT_UNREACHABLE, environment=UNREACHABLE, answer=True),
    "sessions show": Row(works=("build",), fails=(_NO_CHAT,), code=EXIT_FAILED, answer=True),
    "sessions rm": Row(works=("another way",), fails=(), code=EXIT_USAGE),
    "sessions rename": Row(works=("build", "the wall"), fails=(_NO_CHAT, "x"), code=EXIT_FAILED),
    "sessions fork": Row(
        works=("build",), fails=(_NO_CHAT,), code=EXIT_FAILED, before=('erllama sessions rm -qy "another way"',)
    ),
    "sessions export": Row(
        works=("build", "-o", "exported.json"), fails=(_NO_CHAT, "-o", "nothing.json"), code=EXIT_FAILED
    ),
    "sessions import": Row(works=("messages.json", "--model", "demo"), fails=("--name", "x"), code=EXIT_USAGE),
}
