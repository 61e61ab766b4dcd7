"""`erllama models pull`, from a hub on this machine."""

from __future__ import annotations

import errno
import random
import shutil
import signal
import sys
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cli.conftest import Run
from cli.made_up_hub import COMMIT, MadeUpHub
from cli.terminal import Screen, Terminal
from conftest import Erllama

from erllama_cli.pulling import download
from erllama_cli.pulling.progress import Fetching
from erllama_cli.results.models import Pulled
from erllama_daemon.catalog.find import find_model

Q4, Q8 = random.Random(4).randbytes(300_000), random.Random(8).randbytes(500_000)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[MadeUpHub]:
    with MadeUpHub({"org/m-GGUF": {"m-Q4_K_M.gguf": Q4, "m-Q8_0.gguf": Q8, "README.md": b"text"}}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def failed(run: Run, *arguments: str) -> tuple[str, int, str]:
    """The code, the exit code and what is told of a pull that fails."""
    done = run("models", "pull", *arguments, "--json")
    told = msgspec.json.decode(done.stdout)["error"]
    return told["code"], done.exit_code, f"{told['message']} {told['hint']}"


def left_over(home: Path) -> list[str]:
    return sorted(path.name for path in home.rglob("*.incomplete"))


@pytest.mark.usefixtures("hub")
def test_a_model_is_fetched_to_where_it_is_found(run: Run, user_home: Path) -> None:
    done = run("models", "pull", "org/m-GGUF")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "pulled: org/m-GGUF:Q4_K_M (293.0 KiB)\n", "")
    found = find_model("org/m-GGUF:Q4_K_M")
    assert found.read_bytes() == Q4
    assert found.is_symlink()
    assert left_over(user_home) == []


@pytest.mark.usefixtures("hub")
def test_huggingface_hub_finds_it_too(run: Run, user_home: Path) -> None:
    run("models", "pull", "org/m-GGUF:q8_0")
    from huggingface_hub import scan_cache_dir, try_to_load_from_cache

    cache = user_home / "cache/huggingface/hub"
    scanned = scan_cache_dir(cache)
    assert not scanned.warnings
    assert [(repo.repo_id, list(repo.refs)) for repo in scanned.repos] == [("org/m-GGUF", ["main"])]
    there = try_to_load_from_cache("org/m-GGUF", "m-Q8_0.gguf", cache_dir=cache)
    assert there == str(find_model("org/m-GGUF:Q8_0"))


def test_what_is_there_is_not_fetched_again(run: Run, hub: MadeUpHub) -> None:
    first = msgspec.json.decode(run("models", "pull", "org/m-GGUF", "--json").stdout, type=Pulled)
    path = str(find_model("org/m-GGUF"))
    assert first == Pulled(name="org/m-GGUF:Q4_K_M", path=path, bytes=len(Q4), fetched_bytes=len(Q4))
    assert run("models", "pull", "org/m-GGUF").stdout == "already there: org/m-GGUF:Q4_K_M (293.0 KiB)\n"
    assert hub.ranges == [None]


def test_a_model_of_several_parts_is_fetched_whole(run: Run, hub: MadeUpHub) -> None:
    parts = {f"Q4_K_M/big-Q4_K_M-0000{number}-of-00002.gguf": Q4 + bytes([number]) for number in (1, 2)}
    hub.repositories["org/big"] = {**parts, "mmproj-big-F16.gguf": b"eyes"}
    pulled = msgspec.json.decode(run("models", "pull", "org/big", "--json").stdout, type=Pulled)
    assert (pulled.name, pulled.bytes) == ("org/big:Q4_K_M", 2 * len(Q4) + 2)
    assert sorted(path.name for path in find_model("org/big").parent.iterdir()) == [Path(part).name for part in parts]
    del hub.repositories["org/big"]["Q4_K_M/big-Q4_K_M-00002-of-00002.gguf"]
    assert failed(run, "org/big")[0] == "quantization_unknown"


def test_ctrl_c_leaves_what_came_and_the_next_pull_goes_on_from_there(
    erllama: Erllama, hub: MadeUpHub, user_home: Path
) -> None:
    hub.stalls["m-Q8_0.gguf"] = 200_000
    pulling = erllama.start("models", "pull", "org/m-GGUF:Q8_0")
    assert hub.stalled.wait(60)
    partial = next(user_home.rglob("*.incomplete"))
    while not partial.stat().st_size:
        time.sleep(0.005)
    pulling.send_signal(signal.SIGINT)
    assert pulling.communicate(timeout=60) == (b"", b"")
    assert pulling.returncode == 130
    came = partial.stat().st_size
    assert 0 < came <= 200_000
    done = erllama("models", "pull", "org/m-GGUF:Q8_0", "--json")
    pulled = msgspec.json.decode(done.stdout, type=Pulled)
    assert pulled.fetched_bytes == len(Q8) - came
    assert hub.ranges == [None, f"bytes={came}-"]
    assert find_model("org/m-GGUF:Q8_0").read_bytes() == Q8
    assert left_over(user_home) == []


def test_what_breaks_off_goes_on_by_itself(run: Run, hub: MadeUpHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from erllama_cli.pulling import hub as asking

    monkeypatch.setattr(asking, "RETRY_PAUSE_S", 0.0)
    hub.breaks["m-Q4_K_M.gguf"] = 100_000
    assert run("models", "pull", "org/m-GGUF").exit_code == 0
    assert hub.ranges == [None, "bytes=100000-"]
    assert find_model("org/m-GGUF").read_bytes() == Q4


@pytest.mark.parametrize("file", ["m-Q4_K_M.gguf", "small-Q4_K_M.gguf"], ids=["sha256", "git"])
def test_a_wrong_checksum_deletes_the_file(run: Run, hub: MadeUpHub, user_home: Path, file: str) -> None:
    hub.repositories["org/m-GGUF"] = {file: Q4}
    hub.stored[file] = Q4[:-1] + bytes([Q4[-1] ^ 1])
    code, exit_code, told = failed(run, "org/m-GGUF")
    assert (code, exit_code) == ("download_damaged", 1)
    assert file in told
    assert left_over(user_home) == []
    assert not list(user_home.rglob("*.gguf"))
    hub.stored.clear()
    assert run("models", "pull", "org/m-GGUF").exit_code == 0


@pytest.mark.parametrize(
    ("wanted", "code", "told"),
    [
        ("org/m-GGUF:Q2_K", "quantization_unknown", "Q4_K_M, Q8_0"),
        ("org/odd", "quantization_ambiguous", "org/odd:Q2_K"),
        ("org/text", "quantization_unknown", "no GGUF file"),
        ("org/nowhere", "repository_unknown", "org/nowhere"),
        ("no such repository!", "request_invalid", "ORG/NAME"),
        ("org/gated", "repository_closed", "hf auth login"),
        ("org/forbidden", "repository_closed", "403"),
        ("org/broken", "hub_unreachable", "500"),
    ],
)
def test_what_cannot_be_fetched_says_why(run: Run, hub: MadeUpHub, wanted: str, code: str, told: str) -> None:
    hub.repositories["org/odd"] = {"odd-Q2_K.gguf": Q4, "odd-Q6_K.gguf": Q8}
    hub.repositories["org/text"] = {"README.md": b"text"}
    hub.status |= {"org/gated": (403, "GatedRepo"), "org/forbidden": (403, ""), "org/broken": (500, "")}
    named, exit_code, message = failed(run, wanted)
    assert (named, told in message) == (code, True)
    assert exit_code == {"hub_unreachable": 1, "request_invalid": 2}.get(code, 3)


def test_a_hub_that_does_not_answer_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with MadeUpHub() as gone:
        monkeypatch.setenv("HF_ENDPOINT", gone.url)
    code, exit_code, told = failed(run, "org/m-GGUF")
    assert (code, exit_code) == ("hub_unreachable", 1)
    assert gone.url in told


def test_a_disk_without_room_is_told_before_anything_is_fetched(
    run: Run, hub: MadeUpHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(len(Q4) - 1))
    code, _, told = failed(run, "org/m-GGUF")
    assert code == "download_unwritable"
    assert "300,000 bytes more" in told
    assert hub.ranges == []


@pytest.mark.usefixtures("hub")
def test_a_disk_that_gets_full_keeps_what_came(run: Run, user_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fills(_heard: object, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(download._Heard, "write", fills)
        code, _, told = failed(run, "org/m-GGUF")
    assert code == "download_unwritable"
    assert "the disk is full" in told
    assert len(left_over(user_home)) == 1
    assert run("models", "pull", "org/m-GGUF").exit_code == 0


def test_without_huggingface_hub_it_says_how_to_install_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for name in [name for name in sys.modules if name.startswith("erllama_cli.pulling.")]:
        monkeypatch.delitem(sys.modules, name)
    code, exit_code, told = failed(run, "org/m-GGUF")
    assert (code, exit_code) == ("pull_not_installed", 1)
    assert "pip install 'erllama[pull]'" in told


def test_a_terminal_sees_how_far_it_has_come(terminals: list[Terminal], hub: MadeUpHub) -> None:
    hub.stalls["m-Q8_0.gguf"] = 250_000
    screen = Screen("models", "pull", "org/m-GGUF:Q8_0")
    terminals.append(screen)
    screen.await_text("of 488.3 KiB")
    screen.signal(signal.SIGINT)
    assert screen.rest()[0] == 130
    assert screen.lines == []


def test_progress_says_how_much_and_how_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds, drawn = [0.0], []
    fetching = Fetching("org/m:Q8_0", 4 << 20, shown=False, now=lambda: seconds[0])
    monkeypatch.setattr(fetching._waiting, "show_stage", lambda stage: drawn.append((stage.text, stage.share)))
    fetching.came(1 << 20)
    seconds[0] = 2.0
    fetching.came(2 << 20)
    fetching.came(4 << 20)
    assert drawn == [
        ("fetching org/m:Q8_0: 1.0 MiB of 4.0 MiB", 0.25),
        ("fetching org/m:Q8_0: 2.0 MiB of 4.0 MiB, 512.0 KiB/s", 0.5),
        ("checking org/m:Q8_0", 1.0),
    ]


@pytest.mark.usefixtures("hub")
def test_the_commit_is_that_of_the_branch(run: Run, user_home: Path) -> None:
    run("models", "pull", "org/m-GGUF")
    assert (user_home / "cache/huggingface/hub/models--org--m-GGUF/refs/main").read_text() == COMMIT
