from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cli.conftest import Run
from cli.made_up_cache import RECORD, MadeUpCache, made_up_cache, two_chats_of_a_pirate
from cli.terminal import Terminal
from msgspec.structs import replace

from erllama_cache.disk.origins import AdapterOrigin
from erllama_cli.drawing.tree import Branch, Line, print_branch
from erllama_cli.results.cache import CacheTree


@pytest.fixture
def cache() -> Iterator[MadeUpCache]:
    with made_up_cache() as made_up:
        yield made_up


def tree(run: Run, *arguments: str) -> CacheTree:
    return msgspec.json.decode(run("cache", "tree", "--json", *arguments).stdout, type=CacheTree)


def test_without_a_cache_the_tree_is_empty_and_nothing_is_created(run: Run, user_home: Path) -> None:
    before = sorted(user_home.rglob("*"))
    assert run("cache", "tree").stdout == f"{user_home}/cache/erllama  0 blocks · 0 B\n"
    assert tree(run) == CacheTree(f"{user_home}/cache/erllama", [])
    assert sorted(user_home.rglob("*")) == before


def test_a_system_prompt_shows_which_chats_it_carries(run: Run, cache: MadeUpCache, user_home: Path) -> None:
    treasure, rum = two_chats_of_a_pirate(cache)
    system, hum = tree(run).roots[0].children
    keys = [node.key[:12] for node in (system, *system.children, hum)]
    assert run("cache", "tree").stdout == (
        f"{user_home}/cache/erllama  7 blocks · 4.2 MiB\n"
        "\n"
        "demo · f16 · 2 threads  7 blocks · 4.2 MiB · carries 2 chats\n"
        "├── system You are a terse pirate.  300 tokens · pinned · carries 2 chats · 2.0 MiB · 4 hits\n"
        f"│   ├── user Where is the treasure?  +33 = 333 tokens · 1.0 MiB · 1 hit · {keys[1]}\n"
        f"│   │   └── chat {treasure}  Where is the treasure?\n"
        f"│   ├── user Where is the rum?  +20 = 320 tokens · 512.0 KiB · 0 hits · {keys[2]}\n"
        f"│   │   └── chat {rum}  Where is the rum?\n"
        f"│   └── user Who are you?  +18 = 318 tokens · 256.0 KiB · 0 hits · {keys[3]}\n"
        f"└── Why do llamas hum?  37 tokens · 512.0 KiB · 0 hits · {keys[4]}\n"
    )


def test_json_nests_the_nodes(run: Run, cache: MadeUpCache) -> None:
    treasure, _rum = two_chats_of_a_pirate(cache)
    (root,) = tree(run).roots
    assert (root.words, root.model, root.blocks, root.carried) == (["demo", "f16", "2 threads"], "demo", 7, 2)
    system = root.children[0]
    assert (system.start, system.end, system.blocks, system.bytes, system.hits) == (0, 300, 2, 2 << 20, 4)
    assert (system.pinned, system.carried, system.blocks_below, system.chats) == (True, 2, 4, [])
    assert system.label == "<|im_start|>system\nYou are a\tterse pirate."
    one = system.children[0]
    assert (one.start, one.end, one.blocks, one.carried, one.children) == (300, 333, 2, 1, [])
    assert [chat.id for chat in one.chats] == [treasure]


def test_a_run_ends_where_a_chat_does(run: Run, cache: MadeUpCache) -> None:
    first = cache.block("One", 20)
    second = cache.block("Two", 20, first)
    third = cache.block("Three", 20, second)
    short, long = cache.chat("Short", second), cache.chat("Long", third)
    (node,) = tree(run).roots[0].children
    assert (node.end, node.blocks, [chat.id for chat in node.chats], node.carried) == (40, 2, [short], 2)
    (rest,) = node.children
    assert (rest.end, rest.blocks, [chat.id for chat in rest.chats], rest.carried) == (60, 1, [long], 1)


def test_depth_cuts_the_tree_and_says_how_much(run: Run, cache: MadeUpCache) -> None:
    two_chats_of_a_pirate(cache)
    lines = run("cache", "tree", "--depth", "1").stdout.splitlines()
    assert lines[3].startswith("├── system You are a terse pirate.  300 tokens · pinned · carries 2 chats")
    assert lines[4] == "│   └── (4 blocks further on)"
    assert lines[5].startswith("└── Why do llamas hum?")
    assert tree(run, "--depth", "1").roots[0].children[0].children == []
    assert tree(run, "--depth", "2") == tree(run)


def test_a_tree_may_be_that_of_one_model_or_one_chat(run: Run, cache: MadeUpCache) -> None:
    treasure, _rum = two_chats_of_a_pirate(cache)
    cache.origin("/models/other.gguf", root=b"r" * 32)
    cache.block("Of another model", 20, root=b"r" * 32, days=2)
    assert [root.model for root in tree(run).roots] == ["demo", "/models/other.gguf"]
    assert [root.model for root in tree(run, "--model", "other.gguf").roots] == ["/models/other.gguf"]
    (root,) = tree(run, "--session", treasure[:6]).roots
    (system,) = root.children
    (rest,) = system.children
    assert (root.blocks, system.end, rest.end, [chat.id for chat in rest.chats]) == (4, 300, 333, [treasure])
    assert run("cache", "tree", "--session", "nobody").exit_code == 1


def test_roots_of_one_model_are_told_apart_by_what_differs(run: Run, cache: MadeUpCache) -> None:
    pirate = AdapterOrigin("pirate.gguf", "ef" * 32, 0.5)
    roots = [bytes([number]) * 32 for number in range(6)]
    cache.origin("demo", root=roots[0])
    cache.origin("demo", root=roots[1], record=replace(RECORD, threads=1, flash_attention="on"))
    cache.origin("demo", pirate, root=roots[2], record=replace(RECORD, fingerprint="ef" * 32))
    cache.origin("/models/b.gguf", root=roots[3], record=replace(RECORD, type_v="q8_0", block_tokens=128))
    cache.origin("/other/b.gguf", root=roots[4], file="ef", record=replace(RECORD, type_v="q8_0", block_tokens=128))
    for number, root in enumerate(roots):
        cache.block("Alike", 20, root=root, days=number)
    assert [root.words for root in tree(run).roots] == [
        ["demo", "f16", "2 threads", "flash attention auto"],
        ["demo", "f16", "1 thread", "flash attention on"],
        ["demo", "f16", "2 threads", "pirate.gguf × 0.5", "flash attention auto"],
        ["b.gguf", "f16/q8_0", "2 threads", "file cdcdcdcdcdcd"],
        ["b.gguf", "f16/q8_0", "2 threads", "file efefefefefef"],
        ["?", "root 050505050505"],
    ]


def test_what_lost_its_beginning_is_told(run: Run, cache: MadeUpCache) -> None:
    cache.block("Further on", 20, parent=b"gone" * 8, start=256)
    assert "└── Further on  20 tokens · what it extends is gone · 512.0 KiB" in run("cache", "tree").stdout


def test_a_narrow_tree_keeps_text_and_length(run: Run, cache: MadeUpCache, monkeypatch: pytest.MonkeyPatch) -> None:
    treasure, rum = two_chats_of_a_pirate(cache)
    monkeypatch.setenv("COLUMNS", "40")
    lines = run("cache", "tree").stdout.splitlines()
    assert lines[2:] == [
        "demo · f16 · 2 threads  7 blocks",
        "├── system You are…  300 tokens · pinned",
        "│   ├── user Where is…  +33 = 333 tokens",
        f"│   │   └── chat {treasure}  Where is the…",
        "│   ├── user Where is…  +20 = 320 tokens",
        f"│   │   └── chat {rum}  Where is the…",
        "│   └── user Who are…  +18 = 318 tokens",
        "└── Why do llama…  37 tokens · 512.0 KiB",
    ]


def test_letters_that_the_encoding_lacks_are_not_drawn_with(
    cache: MadeUpCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_chats_of_a_pirate(cache)
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stdout)
    print_branch(Branch(Line("a"), [Branch(Line("b", ["1", "2"]), [Branch(Line("c"))]), Branch(Line("d"))]))
    stdout.seek(0)
    assert stdout.read() == "a\n|-- b  1 - 2\n|   `-- c\n`-- d\n"


def test_a_terminal_gets_the_same_tree(cache: MadeUpCache, terminals: list[Terminal]) -> None:
    treasure, _rum = two_chats_of_a_pirate(cache)
    terminals.append(Terminal("cache", "tree", columns=100))
    exit_code, shown = terminals[0].rest()
    assert exit_code == 0
    assert "\x1b" not in shown
    assert "├── system You are a terse pirate.  300 tokens · pinned · carries 2 chats" in shown
    assert f"│   │   └── chat {treasure}  Where is the treasure?" in shown


def test_a_pinned_block_ends_a_node_so_that_its_own_key_is_shown(run: Run, cache: MadeUpCache) -> None:
    document = cache.block("A long document", 20)
    pinned = cache.block(" and its end", 20, document, is_pinned=True)
    cache.block("A question", 20, pinned)
    drawn = run("cache", "tree").stdout
    (line,) = [line for line in drawn.splitlines() if "pinned" in line]
    assert pinned.key.hex()[:12] in line
