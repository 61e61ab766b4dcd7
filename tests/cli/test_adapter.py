from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon

from erllama_daemon.errors import EXIT_FAILED, EXIT_MODEL, EXIT_USAGE
from erllama_daemon.messages import Adapter, AdapterList, AdapterRequest, Failure

HANDLE = "0123456789abcdef" * 4
ATTACHED = AdapterList(adapters=[Adapter(HANDLE, "/adapters/pirate.gguf", -0.5)], fingerprint="f" * 64)
TABLE = "adapter       scale  file\n0123456789ab   -0.5  /adapters/pirate.gguf\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The absolute path of `pirate.gguf` in the folder in which the command runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pirate.gguf").touch()
    return str(tmp_path / "pirate.gguf")


@pytest.mark.parametrize(
    ("arguments", "adapter", "scale"),
    [
        (["load", "demo", "pirate.gguf"], None, 1.0),
        (["load", "demo", "./pirate.gguf", "--scale", "-0.5"], None, -0.5),
        (["unload", "demo", "0123"], "0123", 1.0),
        (["unload", "demo", "pirate.gguf"], None, 1.0),
        (["scale", "demo", "0123", "0.5"], "0123", 0.5),
        (["scale", "demo", "pirate.gguf", "-0.5"], None, -0.5),
        (["ls", "demo"], "", 1.0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_each_action_asks_the_daemon_and_shows_what_is_attached(
    run: Run, fake: FakeDaemon, file: str, arguments: list[str], adapter: str | None, scale: float
) -> None:
    fake.reply = ATTACHED
    done = run("adapter", *arguments)
    assert (done.exit_code, done.stdout, done.stderr) == (0, TABLE, "")
    request = AdapterRequest(model="demo", adapter=file if adapter is None else adapter, scale=scale)
    assert fake.calls == [(f"/v1/adapters/{arguments[0]}", request)]
    done = run("adapter", *arguments, "--json")
    assert msgspec.json.decode(done.stdout, type=AdapterList) == ATTACHED


def test_a_file_that_is_gone_can_still_be_detached(run: Run, fake: FakeDaemon, tmp_path: Path) -> None:
    fake.reply = ATTACHED
    assert run("adapter", "unload", "demo", str(tmp_path / "gone.gguf"), "-q").stdout == ""
    assert fake.calls[0][1] == AdapterRequest(model="demo", adapter=str(tmp_path / "gone.gguf"))


@pytest.mark.parametrize("arguments", [["scale", "demo", "0123", "--jsno"], ["scale", "demo", "0123", "-1", "-x"]])
def test_an_option_that_there_is_not_is_no_scale(run: Run, arguments: list[str]) -> None:
    done = run("adapter", *arguments)
    assert (done.exit_code, f"No such option: {arguments[-1]}" in done.stderr) == (EXIT_USAGE, True)


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize(
    ("arguments", "exit_code", "code"),
    [
        (["load", "demo", "nowhere.gguf"], EXIT_MODEL, "adapter_unreadable"),
        (["load", "demo", "."], EXIT_MODEL, "adapter_unreadable"),
        (["load", "./nowhere.gguf", "pirate.gguf"], EXIT_MODEL, "model_missing"),
        (["load", "demo", "pirate.gguf", "--scale", "nan"], EXIT_USAGE, "request_invalid"),
        (["scale", "demo", "0123", "inf"], EXIT_USAGE, "request_invalid"),
        (["unload", "demo", ""], EXIT_USAGE, "request_invalid"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_makes_no_sense_is_told_before_a_daemon_starts(
    run: Run, user_home: Path, arguments: list[str], exit_code: int, code: str
) -> None:
    done = run("adapter", *arguments, "--json")
    assert done.exit_code == exit_code
    assert msgspec.json.decode(done.stdout)["error"]["code"] == code
    assert not list(user_home.rglob("erllama"))


@pytest.mark.parametrize("arguments", [["demo", "0123"], ["demo", "0123", "half"], ["demo", "0123", "1", "--jsn"]])
def test_a_scale_must_be_a_number(run: Run, arguments: list[str]) -> None:
    assert run("adapter", "scale", *arguments).exit_code == EXIT_USAGE


def test_an_unknown_adapter_is_named(run: Run, fake: FakeDaemon) -> None:
    fake.refusal = (404, Failure("adapter_unknown", "No adapter 99 is attached to demo.", None, EXIT_FAILED))
    done = run("adapter", "unload", "demo", "99")
    assert (done.exit_code, done.stderr) == (EXIT_FAILED, "erllama: No adapter 99 is attached to demo.\n")
