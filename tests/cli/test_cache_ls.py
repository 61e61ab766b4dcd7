from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from cli.conftest import Run
from cli.made_up_cache import DAY_S, MadeUpCache, made_up_cache, two_chats_of_a_pirate

from erllama_cli.results.cache import BlockList, ChainList
from erllama_daemon.errors import EXIT_USAGE


@pytest.fixture
def cache() -> Iterator[MadeUpCache]:
    with made_up_cache() as made_up:
        yield made_up


def listed(run: Run, *arguments: str) -> ChainList:
    return msgspec.json.decode(run("cache", "ls", "--json", *arguments).stdout, type=ChainList)


def labels(run: Run, *arguments: str) -> list[str]:
    return [chain.label.rpartition("\n")[2] for chain in listed(run, *arguments).chains]


def test_without_a_cache_there_is_nothing_and_nothing_is_created(run: Run, user_home: Path) -> None:
    before = sorted(user_home.rglob("*"))
    assert " ".join(run("cache", "ls").stdout.split()) == "key chat model tokens own hits age value pin text"
    assert run("cache", "ls", "--json").stdout == '{"chains":[]}\n'
    assert run("cache", "ls", "--blocks", "--json").stdout == '{"blocks":[]}\n'
    assert sorted(user_home.rglob("*")) == before


def test_each_chat_and_each_other_end_is_a_row(run: Run, cache: MadeUpCache) -> None:
    treasure, rum = two_chats_of_a_pirate(cache)
    keys = [chain.key[:12] for chain in listed(run).chains]
    assert run("cache", "ls").stdout == (
        "key           chat      model  tokens        own  hits      age  value  pin  text\n"
        f"{keys[0]}  {treasure}  demo      333    1.0 MiB     1  2 d 0 h   16.0  -    Where is the treasure?\n"
        f"{keys[1]}  {rum}  demo      320  512.0 KiB     0  3 d 0 h   40.0  -    Where is the rum?\n"
        f"{keys[2]}  -         demo      318  256.0 KiB     0  4 d 0 h   72.0  -    user Who are you?\n"
        f"{keys[3]}  -         demo       37  512.0 KiB     0  5 d 0 h   74.0  -    Why do llamas hum?\n"
    )


def test_json_has_whole_keys_and_what_each_chain_shares(run: Run, cache: MadeUpCache) -> None:
    treasure, _rum = two_chats_of_a_pirate(cache)
    chain = listed(run).chains[0]
    assert chain.chat is not None
    assert (chain.chat.id, chain.chat.title, chain.model) == (treasure, "Where is the treasure?", "demo")
    assert len(chain.key) == len(chain.parent) == len(chain.root) == 64
    assert (chain.tokens, chain.blocks, chain.bytes, chain.own_bytes) == (333, 4, 3 << 20, 1 << 20)
    assert chain.used - chain.created > DAY_S
    assert chain.label == "<|im_start|>user\nWhere is the treasure?"


@pytest.mark.parametrize(
    ("order", "texts"),
    [
        ("age", ["Where is the treasure?", "Where is the rum?", "Who are you?", "Why do llamas hum?"]),
        ("value", ["Why do llamas hum?", "Who are you?", "Where is the rum?", "Where is the treasure?"]),
        ("size", ["Where is the treasure?", "Where is the rum?", "Why do llamas hum?", "Who are you?"]),
        ("tokens", ["Where is the treasure?", "Where is the rum?", "Who are you?", "Why do llamas hum?"]),
    ],
)
def test_rows_are_sorted_and_limited(run: Run, cache: MadeUpCache, order: str, texts: list[str]) -> None:
    two_chats_of_a_pirate(cache)
    assert labels(run, "--sort", order) == texts
    assert labels(run, "--sort", order, "--limit", "2") == texts[:2]


def test_rows_are_chosen_by_model_and_by_chat(run: Run, cache: MadeUpCache) -> None:
    _treasure, rum = two_chats_of_a_pirate(cache)
    cache.origin("/models/other.gguf", root=b"r" * 32)
    cache.block("Of another model", 20, root=b"r" * 32)
    cache.block("Of a model that nobody knows", 20, root=b"s" * 32)
    assert labels(run, "--model", "other.gguf") == labels(run, "--model", "/models/other.gguf") == ["Of another model"]
    assert len(labels(run, "--model", "demo")) == 4
    assert labels(run, "--session", rum[:6]) == ["Where is the rum?"]
    assert labels(run, "--session", rum, "--model", "other.gguf") == []
    assert {chain.model for chain in listed(run).chains} == {"demo", "/models/other.gguf", None}
    unknown = run("cache", "ls", "--session", "nobody")
    assert (unknown.exit_code, unknown.stdout) == (1, "")
    assert run("cache", "ls", "--sort", "colour").exit_code == EXIT_USAGE


def test_chats_that_end_together_share_all_they_have(run: Run, cache: MadeUpCache) -> None:
    said = cache.block("Both said this.", 20)
    first, second = cache.chat("One", said), cache.chat("Two", said)
    chains = listed(run).chains
    assert {chain.chat.id for chain in chains if chain.chat} == {first, second}
    assert [chain.own_bytes for chain in chains] == [0, 0]
    assert [chain.label for chain in chains] == ["Both said this."] * 2


def test_a_chat_that_another_goes_on_from_is_a_row_and_so_is_what_it_left_behind(run: Run, cache: MadeUpCache) -> None:
    begun = cache.block("Begun", 20)
    rewritten = cache.block("Rewritten", 20, begun)
    said = cache.block("Said", 20, begun)
    cache.block("Somebody else went on", 20, said)
    gone = cache.chat("A chat", rewritten, said)
    found = {chain.label: chain.chat.id if chain.chat else None for chain in listed(run).chains}
    assert found == {"Said": gone, "Rewritten": gone, "Somebody else went on": None}


def test_blocks_are_listed_one_by_one(run: Run, cache: MadeUpCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    _treasure, rum = two_chats_of_a_pirate(cache)
    shown = msgspec.json.decode(run("cache", "ls", "--blocks", "--json").stdout, type=BlockList)
    assert len(shown.blocks) == 7
    lines = run("cache", "ls", "--blocks", "--session", rum, "--sort", "tokens").stdout.splitlines()
    assert [line.split(maxsplit=1)[1] for line in lines] == [
        "kind     model  start  tokens       size  hits      age  value  pin  text",
        "prefill  demo       0     256    1.0 MiB     4  1 d 0 h  256.0  -    system You are a terse pirate.",
        "prefill  demo     256      44    1.0 MiB     4  1 d 0 h   44.0  *    and so on",
        "prefill  demo     300      20  512.0 KiB     0  3 d 0 h   40.0  -    user Where is the rum?",
    ]


def test_a_narrow_line_keeps_what_matters_and_breaks_nowhere(
    run: Run, cache: MadeUpCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_chats_of_a_pirate(cache)
    monkeypatch.setenv("COLUMNS", "40")
    key = listed(run).chains[0].key[:12]
    lines = run("cache", "ls").stdout.splitlines()
    assert lines[:2] == ["key               age  text", f"{key}  2 d 0 h  Where is the tre…"]
    assert max(map(len, lines)) <= 40


def test_a_text_cannot_disturb_the_terminal(run: Run, cache: MadeUpCache) -> None:
    cache.block("\x1b[2J\x07bell\r\n\u202ea\U0001f44d", 20)
    text = run("cache", "ls").stdout.splitlines()[1]
    assert text.endswith(r"-    \x1b[2J\x07bell \u202ea👍")


def test_a_chain_whose_beginning_is_gone_is_still_a_row(run: Run, cache: MadeUpCache) -> None:
    cache.block("One", 20, parent=b"gone" * 8, start=256)
    (chain,) = listed(run).chains
    assert (chain.tokens, chain.blocks) == (276, 1)


def test_keys_are_shown_as_far_as_they_differ(run: Run, cache: MadeUpCache) -> None:
    block = cache.block("One", 20)
    twin = replace(block, key=block.key[:8] + b"else" * 6)
    cache.index.insert([twin])
    keys = {line.split()[0] for line in run("cache", "ls").stdout.splitlines()[1:]}
    assert len(keys) == 2
    assert all(block.key.hex()[:16] == key[:16] and len(key) > 16 for key in keys)


def test_texts_that_begin_alike_are_shown_from_where_they_differ(
    run: Run, cache: MadeUpCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    beginning = "<|im_start|>system\nYou are a helpful assistant that answers.<|im_end|>\n<|im_start|>user\n"
    for text in ("Why do llamas hum?", "Why do llamas spit?"):
        cache.block(beginning + text, 20, days=len(text) - 16)
    cache.block("Something else", 20, days=9)
    texts = [line.rpartition("  -    ")[2] for line in run("cache", "ls").stdout.splitlines()[1:]]
    assert texts == ["… answers. user Why do llamas hum?", "… answers. user Why do llamas spit?", "Something else"]
