"""`cache explain`: how what the daemon found is told."""

from __future__ import annotations

import time

import msgspec
import pytest
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon

from erllama_cache.disk.difference import Difference
from erllama_daemon.errors import EXIT_USAGE
from erllama_daemon.messages import (
    Adapter,
    Divergence,
    ExplainedBlock,
    ExplainRequest,
    Explanation,
    Message,
    Miss,
)

BLOCKS = [
    ExplainedBlock(start=0, tokens=256, where="live", key="a"),
    ExplainedBlock(start=256, tokens=256, where="disk", key="b"),
    ExplainedBlock(start=512, tokens=512, where="disk", key="c"),
    ExplainedBlock(start=1024, tokens=100, where="disk", source="generated", key="d"),
    ExplainedBlock(start=1124, tokens=76, where="missing"),
]


def explanation(
    miss: Miss | None = None, *, note: str | None = None, adapters: list[Adapter] | None = None
) -> Explanation:
    return Explanation(
        model="demo",
        root="e" * 64,
        prompt_tokens=1200,
        reused_tokens=1124,
        live_tokens=256,
        ram_tokens=0,
        disk_tokens=868,
        blocks=BLOCKS,
        miss=miss,
        note=note,
        adapters=adapters or [],
    )


def test_a_summary_comes_first_and_blocks_alike_share_a_row(run: Run, fake: FakeDaemon) -> None:
    fake.reply = explanation(Miss(reason="never_saved", token=1124))
    done = run("cache", "explain", "demo", "Why?")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "1,124 of 1,200 tokens would be reused (93 %): 256 live, 868 from disk",
        "Token 1,125 on has never been saved.",
        "",
        " from     to  tokens  blocks  where    computed as",
        "    1    256     256       1  live     prompt",
        "  257  1,024     768       2  disk     prompt",
        "1,025  1,124     100       1  disk     answer",
        "1,125  1,200      76       1  missing  prompt",
    ]


DIVERGENCE = Divergence(token=1130, before="may copy\n", here="this?", there='that "thing"')
AT = time.mktime((2026, 11, 24, 14, 2, 0, 0, 0, -1))


@pytest.mark.parametrize(
    ("miss", "lines"),
    [
        (
            Miss(reason="diverged", token=1124, divergence=DIVERGENCE),
            [
                'Token 1,131 differs, after "may copy\\n":',
                '  here   "this?"',
                '  there  "that "thing""',
            ],
        ),
        (
            Miss(
                reason="other_settings",
                token=1124,
                end=1200,
                differences=[Difference("kv type", "f16", "q8_0"), Difference("threads", "4", "2")],
            ),
            [
                "Token 1,125 on is there up to token 1,200, but with other settings: "
                "kv type f16 there, q8_0 here; threads 4 there, 2 here."
            ],
        ),
        (
            Miss(
                reason="other_adapter",
                token=0,
                end=9,
                differences=[Difference("adapter", "pirate.gguf=0.5", "none")],
            ),
            ["Token 1 on is there up to token 9, but with another adapter: adapter pirate.gguf=0.5 there, none here."],
        ),
        (
            Miss(reason="evicted", token=1124, departure="evicted", departed_at=AT),
            ["Token 1,125 on was there until 2026-11-24 14:02, when it made room for others."],
        ),
        (
            Miss(reason="evicted", token=1124, departure="damaged", departed_at=AT),
            ["Token 1,125 on was there until 2026-11-24 14:02, when its file was found damaged."],
        ),
        (
            Miss(reason="generated", token=1124, end=1150),
            ["Token 1,125 on is there up to token 1,150, but as an answer, which has other bits than what is read."],
        ),
        (
            Miss(reason="cut_elsewhere", token=1124, end=1150),
            ["Token 1,125 on is there up to token 1,150, but in blocks that end elsewhere than this prompt's."],
        ),
        (
            Miss(reason="no_logits", token=1124, end=1200),
            ["Token 1,125 on is there up to token 1,200, but without the logits that an answer begins with."],
        ),
        (
            Miss(reason="never_saved", token=1124, detail="the policy saves nothing beyond 1,124 tokens"),
            ["Token 1,125 on has never been saved: the policy saves nothing beyond 1,124 tokens."],
        ),
    ],
)
def test_each_reason_has_its_words(run: Run, fake: FakeDaemon, miss: Miss, lines: list[str]) -> None:
    fake.reply = explanation(miss)
    assert run("cache", "explain", "demo", "Why?").stdout.splitlines()[1 : 1 + len(lines)] == lines


def test_what_is_attached_and_why_a_chat_cannot_go_on_is_said(run: Run, fake: FakeDaemon) -> None:
    fake.reply = explanation(note="the saved state is gone", adapters=[Adapter("ab" * 32, "/p/pirate.gguf", 0.5)])
    shown = run("cache", "explain", "demo", "Why?").stdout.splitlines()
    assert shown[1:4] == ["With adapters: /p/pirate.gguf=0.5", "The saved state is gone.", ""]


def test_json_has_everything(run: Run, fake: FakeDaemon) -> None:
    fake.reply = explanation(Miss(reason="diverged", token=1124, divergence=DIVERGENCE))
    done = run("cache", "explain", "demo", "Why?", "--json")
    assert msgspec.json.decode(done.stdout, type=Explanation) == fake.reply


def test_the_prompt_is_put_together_as_by_run(run: Run, fake: FakeDaemon) -> None:
    fake.reply = explanation()
    run("cache", "explain", "demo", "Why?", "-s", "Be brief.", "--reproducible", stdin="A text.")
    messages = [Message("system", ["Be brief."]), Message("user", ["A text.", "\n\nWhy?"])]
    assert fake.calls == [("/v1/cache/explain", ExplainRequest(model="demo", messages=messages, reproducible=True))]


def test_a_conversation_is_explained_as_it_stands_or_with_its_next_turn(run: Run, fake: FakeDaemon) -> None:
    fake.reply = explanation()
    run("cache", "explain", "--session", "0f3a")
    run("cache", "explain", "demo", "And?", "--session", "0f3a")
    assert [call for _path, call in fake.calls] == [
        ExplainRequest(session="0f3a"),
        ExplainRequest(model="demo", session="0f3a", messages=[Message("user", ["And?"])]),
    ]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], "request_invalid"),
        (["demo"], "prompt_empty"),
        (["demo", " "], "prompt_empty"),
        (["--session", "0f3a", "-s", "Be brief."], "request_invalid"),
    ],
)
def test_what_cannot_be_explained_is_a_usage_error(run: Run, fake: FakeDaemon, arguments: list[str], code: str) -> None:
    done = run("cache", "explain", *arguments, "--json")
    assert done.exit_code == EXIT_USAGE
    assert msgspec.json.decode(done.stdout)["error"]["code"] == code
    assert fake.calls == []
