"""`erllama models ls`, `info` and `alias`, and what the shells are offered where a model stands."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon
from made_up_stores import Stores, put
from tiny_models import TinyModel, write_tiny_model
from typer.main import get_command

from erllama_cli.command import new_app
from erllama_cli.completion.candidates import complete_model
from erllama_cli.completion.shells import answer
from erllama_cli.completion.words import typed_words
from erllama_cli.model import model_name, same_model, short_name
from erllama_cli.results.models import Aliases
from erllama_daemon.directories import user_directories
from erllama_daemon.errors import EXIT_FAILED, EXIT_MODEL, EXIT_USAGE
from erllama_daemon.messages import Catalog, CatalogModel, MemoryNeed, ModelInfo, ModelInfoRequest, ModelOptions


@pytest.fixture
def stores(user_home: Path, tmp_path: Path) -> Stores:
    """A model in each of two stores, and a damaged one."""
    made = Stores(user_home)
    tiny = write_tiny_model(TinyModel.HYBRID, tmp_path / "tiny.gguf").read_bytes()
    made.hugging_face("org/tiny-GGUF", "tiny-F32.gguf", tiny)
    made.ollama("tiny/1b", write_tiny_model(TinyModel.SLIDING_WINDOW, tmp_path / "window.gguf").read_bytes())
    made.lm_studio("a/broken/broken-Q8_0.gguf", b"no model")
    return made


@pytest.fixture
def aliases() -> Path:
    return user_directories().config_file


def listed(run: Run) -> dict[str, CatalogModel]:
    catalog = msgspec.json.decode(run("models", "ls", "--json").stdout, type=Catalog)
    return {model.name: model for model in catalog.models}


@pytest.mark.usefixtures("stores")
def test_ls_shows_what_there_is_without_a_daemon(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("models", "alias", "small", "tiny:1b")
    done = run("models", "ls")
    assert done.exit_code == 0
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["size", "quant", "context", "kind", "cache", "loaded", "store", "model"],
        ["93.8", "MiB", "Q4_1", "8,192", "chat", "dense", "demo", "demo"],
        ["1.0", "MiB", "F32", "8,192", "chat", "hybrid", "Hugging", "Face", "org/tiny-GGUF:F32"],
        ["1011.6", "KiB", "F32", "8,192", "chat", "window", "Ollama", "tiny:1b", "(small)"],
        ["damaged", "LM", "Studio", "a/broken:Q8_0"],
    ]
    monkeypatch.setenv("COLUMNS", "60")
    assert all(len(line) <= 60 for line in run("models", "ls").stdout.splitlines())
    assert not user_directories().socket.exists()


@pytest.mark.usefixtures("stores")
def test_ls_json_says_all_of_it(run: Run) -> None:
    models = listed(run)
    tiny, broken = models["org/tiny-GGUF:F32"], models["a/broken:Q8_0"]
    assert (tiny.architecture, tiny.cache, tiny.template, tiny.thinking, tiny.loaded) == (
        "lfm2",
        "hybrid",
        "chatml",
        False,
        False,
    )
    assert broken.problem == "it is not a GGUF file"
    assert tiny.problem is None


def test_ls_asks_a_daemon_that_answers(run: Run, fake: FakeDaemon) -> None:
    model = CatalogModel(name="far:1b", store="Ollama", path="/far", bytes=2048, quantization="Q8_0", loaded=True)
    fake.reply = Catalog([model])
    assert list(listed(run)) == ["far:1b"]
    shown = run("models", "ls").stdout.splitlines()[1].split()
    assert shown == ["2.0", "KiB", "Q8_0", "?", "text", "dense", "yes", "Ollama", "far:1b"]


def test_info_says_what_a_model_takes(run: Run, stores: Stores) -> None:
    done = run("models", "info", "tiny-GGUF", "--ctx", "2048", "--parallel", "2")
    assert done.exit_code == 0
    for line in ("model        org/tiny-GGUF:F32 (Hugging Face)", "cache        hybrid", "kind         chat"):
        assert line in done.stdout.splitlines()
    assert "516.0 KiB for 2,048 tokens of context (f16)" in done.stdout
    assert "it fits" in done.stdout
    assert "once 2 requests are answered at once" in done.stdout
    info = msgspec.json.decode(run("models", "info", "tiny:1b", "--json").stdout, type=ModelInfo)
    assert (info.model.name, info.model.cache, info.fits) == ("tiny:1b", "sliding window", True)
    assert info.model.path == str(stores.home / "ollama/blobs" / Path(info.model.path).name)


def test_info_asks_a_daemon_that_answers(run: Run, fake: FakeDaemon) -> None:
    need = MemoryNeed(
        context_size=64,
        parallel=1,
        kv_type="q8_0",
        weights_bytes=1,
        state_bytes=1,
        compute_bytes=1,
        total_bytes=3 << 30,
        together_bytes=0,
    )
    model = CatalogModel(name="far:1b", store="Ollama", path="/far", bytes=1)
    fake.reply = ModelInfo(model=model, memory=need, available_bytes=1 << 30, fits=False)
    done = run("models", "info", "far:1b", "--ctx", "64", "--kv-type", "q8_0")
    assert "3.0 GiB in all; it does not fit: only 1.0 GiB is free" in done.stdout
    options = ModelOptions(context_size=64, kv_type="q8_0")
    assert fake.calls[-1] == ("/v1/catalog/info", ModelInfoRequest(model="far:1b", options=options))


def test_info_follows_the_configuration(run: Run, stores: Stores, aliases: Path) -> None:
    put(aliases, b"[load]\nctx = 512\nkv_type = 'q8_0'\n")
    info = msgspec.json.decode(run("models", "info", "demo", "--json").stdout, type=ModelInfo)
    assert (info.memory.context_size, info.memory.kv_type) == (512, "q8_0")
    del stores


@pytest.mark.usefixtures("stores")
def test_info_of_what_is_missing_or_damaged_ends_with_3(run: Run) -> None:
    unknown = run("models", "info", "tiny-GGUFF")
    assert unknown.exit_code == EXIT_MODEL
    assert "org/tiny-GGUF:F32" in unknown.stderr
    damaged = run("models", "info", "a/broken")
    assert (damaged.exit_code, "it is not a GGUF file" in damaged.stderr) == (EXIT_MODEL, True)
    assert "begins with GGUF" in damaged.stderr and "--ctx" not in damaged.stderr
    folder = run("models", "info", "./")
    assert "it is a directory.\nName the GGUF file in it." in folder.stderr
    assert "(Ollama)" in run("models", "info", "tiny").stdout  # all of a name, which needs no tag


def test_an_alias_is_set_shown_and_removed(run: Run, stores: Stores, aliases: Path) -> None:
    put(aliases, b"# mine\n[load]\nctx = 512 # enough\n")
    assert run("models", "alias", "small", "tiny:1b").stdout == "small is tiny:1b\n"
    assert run("models", "alias", "again", "small").stdout == "again is tiny:1b\n"
    assert run("models", "alias", "small").stdout == "tiny:1b\n"
    shown = msgspec.json.decode(run("models", "alias", "--json").stdout, type=Aliases)
    assert shown.aliases == {"again": "tiny:1b", "small": "tiny:1b"}
    assert run("models", "alias").stdout.splitlines() == ["alias  model", "again  tiny:1b", "small  tiny:1b"]
    assert aliases.read_text().startswith("# mine\n[load]\nctx = 512 # enough\n")
    assert listed(run)["tiny:1b"].aliases == ["small", "again"]
    assert run("models", "alias", "--rm", "again").stdout == "again is removed\n"
    gone = run("models", "alias", "again")
    assert (gone.exit_code, gone.stderr.startswith("erllama: There is no alias again.")) == (EXIT_FAILED, True)
    assert run("models", "alias", "--rm", "again").exit_code == EXIT_FAILED
    del stores


def test_an_alias_of_a_path_is_listed_by_itself(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny_model(TinyModel.RECURRENT, tmp_path / "mine.gguf")
    monkeypatch.chdir(tmp_path)
    assert run("models", "alias", "🦙 mine", "mine.gguf").stdout == f"🦙 mine is {tmp_path}/mine.gguf\n"
    model = listed(run)["🦙 mine"]
    assert (model.store, model.path, model.cache) == ("alias", str(tmp_path / "mine.gguf"), "recurrent")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["a/b", "demo"], EXIT_USAGE),
        (["demo", "demo"], EXIT_USAGE),
        ([" x", "demo"], EXIT_USAGE),
        (["x\ty", "demo"], EXIT_USAGE),
        (["x.gguf", "demo"], EXIT_USAGE),
        (["--", "-x", "demo"], EXIT_USAGE),
        (["--rm"], EXIT_USAGE),
        (["x", "no-such-model"], EXIT_MODEL),
        (["x", "./nowhere.gguf"], EXIT_MODEL),
    ],
)
def test_what_can_be_no_alias_changes_nothing(run: Run, aliases: Path, arguments: list[str], code: int) -> None:
    assert run("models", "alias", *arguments).exit_code == code
    assert not aliases.exists()


def test_a_name_with_a_slash_is_a_path_only_if_it_looks_like_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "org/there", b"GGUF")
    assert model_name("org/there") == str(tmp_path / "org/there")
    for name in ("org/repo", "org/repo:Q4_K_M", "llama3.2:3b", "org/repo:file.gguf", "demo"):
        assert model_name(name) == name
    for path in ("./x", "x.gguf", "org/x.gguf"):
        assert model_name(path) == str(tmp_path / path)
    assert model_name("../x") == f"{tmp_path}/../x"
    assert model_name("~/x") == str(Path.home() / "x")


def test_two_names_of_one_file_are_one_model(stores: Stores) -> None:
    found = str(stores.hugging_face("org/other", "o-Q8_0.gguf", b"other"))
    assert same_model("org/other", "org/other:Q8_0")
    assert same_model(found, "org/other")
    assert not same_model("org/other", "tiny:1b")
    assert not same_model("nobody", "tiny:1b")
    assert [short_name(name) for name in ("org/repo:Q8_0", "/a/b.gguf", "demo")] == ["repo:Q8_0", "b.gguf", "demo"]


@pytest.mark.usefixtures("stores")
def test_models_are_completed_without_reading_them(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("models", "alias", "small", "tiny:1b")
    monkeypatch.setattr("erllama_cache.model.gguf_header.read_header", lambda _file: pytest.fail("a header was read"))
    every = [name for name, _store in complete_model("")]
    assert every == ["demo", "small", "org/tiny-GGUF:F32", "tiny:1b", "a/broken:Q8_0"]
    assert complete_model("tiny") == [("tiny-GGUF:F32", "Hugging Face"), ("tiny:1b", "Ollama")]
    assert complete_model("./") == complete_model("nothing") == []
    assert not user_directories().socket.exists()


@pytest.mark.usefixtures("stores")
@pytest.mark.parametrize("command", ["run", "chat", "load", "models info", "chat --model", "cache ls --model"])
def test_every_command_completes_its_model(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "_ERLLAMA_COMPLETE", "complete_zsh")
    found = answer(get_command(new_app()), typed_words(f"erllama {command} tiny:"))
    assert found == "tiny:1b\tOllama\n"


def test_completion_survives_a_broken_configuration(aliases: Path) -> None:
    put(aliases, b"[aliases\n")
    assert [name for name, _about in complete_model("d")] == ["demo"]
