"""`load`, `unload`, `ps` and `cache evict`."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon, model_status
from cli.terminal import Terminal

from erllama_daemon.errors import EXIT_MODEL, EXIT_UNREACHABLE, EXIT_USAGE
from erllama_daemon.messages import Evicted, Failure, Loaded, Loading, ModelOptions, ModelRequest, ModelStatus, Unloaded


def test_load_waits_until_the_model_is_ready(run: Run, fake: FakeDaemon) -> None:
    fake.loading = [Loading("demo"), Loading("demo", 0.5), Loaded(model_status())]
    done = run("load", "demo", "--ctx", "8192", "--keep-alive", "2h", "--kv-type", "q8_0")
    assert done.exit_code == 0
    assert done.stdout == "loaded: 8,192 tokens of context, 4 at once, 136.0 MiB of memory\n"
    assert done.stderr == ""
    options = ModelOptions(context_size=8192, keep_alive_s=7200.0, kv_type="q8_0")
    assert fake.calls == [("/v1/models/load", ModelRequest(model="demo", options=options))]
    assert run("load", "demo", "-q").stdout == ""


def test_load_json_is_the_models_status(run: Run, fake: FakeDaemon) -> None:
    fake.loading = [Loading("demo"), Loaded(model_status())]
    assert msgspec.json.decode(run("load", "demo", "--json").stdout, type=ModelStatus) == model_status()


def test_load_that_fails_or_breaks_off_is_named(run: Run, fake: FakeDaemon) -> None:
    fake.loading = [Loading("demo"), Failure("model_unreadable", "It is cut short.", None, EXIT_MODEL)]
    done = run("load", "demo")
    assert (done.exit_code, done.stdout, done.stderr) == (EXIT_MODEL, "", "erllama: It is cut short.\n")
    fake.loading = [Loading("demo")]
    assert run("load", "demo").exit_code == EXIT_UNREACHABLE


def test_load_refuses_nonsense_before_a_daemon_starts(run: Run, user_home: Path) -> None:
    assert run("load", "demo", "--keep-alive", "soon").exit_code == EXIT_USAGE
    assert run("load", "demo", "--ctx", "99999999").exit_code == EXIT_USAGE
    assert not list(user_home.rglob("erllama"))


@pytest.mark.parametrize(("unloaded", "said"), [(True, "unloaded\n"), (False, "not loaded\n")])
def test_unload(run: Run, fake: FakeDaemon, unloaded: bool, said: str) -> None:
    fake.reply = Unloaded(unloaded)
    assert run("unload", "demo").stdout == said
    assert msgspec.json.decode(run("unload", "demo", "--json").stdout) == {"unloaded": unloaded}
    assert fake.calls[0] == ("/v1/models/unload", ModelRequest(model="demo"))


def test_a_model_whose_file_is_gone_is_named_by_its_path(
    run: Run, fake: FakeDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fake.reply = Unloaded(unloaded=True)
    run("unload", "gone.gguf")
    assert fake.calls == [("/v1/models/unload", ModelRequest(model=str(tmp_path / "gone.gguf")))]


def test_evict_tells_what_was_saved(run: Run, fake: FakeDaemon) -> None:
    fake.reply = Evicted(sequences=2, saved=5)
    assert run("cache", "evict", "demo").stdout == "2 live sequences let go, 5 more blocks saved on disk\n"
    assert msgspec.json.decode(run("cache", "evict", "demo", "--json").stdout) == {"sequences": 2, "saved": 5}
    fake.reply = Evicted(sequences=0, saved=0)
    assert run("cache", "evict", "demo").stdout == "nothing was held live\n"
    assert fake.calls[0] == ("/v1/evict", ModelRequest(model="demo"))


@pytest.mark.parametrize(
    ("command", "told"), [("ps", "No model is loaded."), ("cache ls", "There is nothing in the cache.")]
)
def test_a_terminal_is_told_that_there_is_nothing_to_show(terminals: list[Terminal], command: str, told: str) -> None:
    terminals.append(terminal := Terminal(*command.split()))
    assert terminal.rest() == (0, f"{told}\r\n")


def test_ps_shows_each_model(run: Run, fake: FakeDaemon) -> None:
    fake.loaded = [model_status(), msgspec.structs.replace(model_status("/models/b.gguf"), expires_s=None)]
    lines = run("ps").stdout.splitlines()
    assert " ".join(lines[0].split()) == "model status running waiting context memory ram cache idle unloads in"
    assert " ".join(lines[1].split()) == "demo generating 2/4 3 8,192 136.0 MiB 0 B/0 B 1 min 4 min"
    assert (lines[2].split()[0], lines[2].split()[-1]) == ("b.gguf", "never")
    shown = msgspec.json.decode(run("ps", "--json").stdout)
    assert [model["id"] for model in shown["models"]] == ["demo", "/models/b.gguf"]


@pytest.mark.parametrize(
    ("command", "result"),
    [
        (["ps"], {"models": []}),
        (["unload", "demo"], {"unloaded": False}),
        (["cache", "evict", "demo"], {"sequences": 0, "saved": 0}),
    ],
)
def test_without_a_daemon_none_is_started(
    run: Run, user_home: Path, command: list[str], result: dict[str, object]
) -> None:
    done = run(*command, "--json")
    assert (done.exit_code, msgspec.json.decode(done.stdout)) == (0, result)
    assert run(*command).exit_code == 0
    assert not list(user_home.rglob("erllama"))
