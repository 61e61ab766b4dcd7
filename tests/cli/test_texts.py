"""`tokenize`, `detokenize`, `render` and `embed`."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon

from erllama_daemon.errors import EXIT_FAILED, EXIT_MODEL, EXIT_USAGE
from erllama_daemon.messages import (
    Detokenized,
    DetokenizeRequest,
    Embeddings,
    EmbedRequest,
    Failure,
    Message,
    RenderedPrompt,
    RenderRequest,
    Tokenized,
    TokenizeRequest,
)

TOKENS = Tokenized(tokens=[5, 71], pieces=["Hum", "\n\t\\"])
RENDERED = RenderedPrompt(text="<user>Why?", tokens=[1, 2, 3], cuts=[3])
VECTORS = Embeddings(embeddings=[[0.6, 0.8], [1.0, 0.0]], tokens=4, pooling="mean")


@pytest.mark.parametrize(
    ("arguments", "stdin", "text"),
    [
        (["Hum."], "not read", "Hum."),
        ([], "Hum.\n", "Hum.\n"),
        (["-"], "Hum.\n", "Hum.\n"),
        ([""], "", ""),
        ([], "", ""),
    ],
)
def test_tokenize_takes_an_argument_or_standard_input(
    run: Run, fake: FakeDaemon, arguments: list[str], stdin: str, text: str
) -> None:
    fake.reply = TOKENS
    done = run("tokenize", "demo", *arguments, stdin=stdin)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "5 71\n", "")
    assert fake.calls == [("/v1/tokenize", TokenizeRequest(model="demo", text=text))]


def test_tokenize_shows_pieces_on_lines_of_their_own(run: Run, fake: FakeDaemon) -> None:
    fake.reply = TOKENS
    assert run("tokenize", "demo", "Hum", "--pieces").stdout == "5\tHum\n71\t\\n\\t\\\\\n"


def test_tokenize_json_and_first(run: Run, fake: FakeDaemon) -> None:
    fake.reply = TOKENS
    done = run("tokenize", "demo", "Hum", "--first", "--json")
    assert msgspec.json.decode(done.stdout, type=Tokenized) == TOKENS
    assert fake.calls == [("/v1/tokenize", TokenizeRequest(model="demo", text="Hum", first=True))]


@pytest.mark.parametrize(
    ("arguments", "stdin", "tokens"),
    [
        (["5", "71"], "", [5, 71]),
        (["5,71"], "", [5, 71]),
        ([], "5 71\n", [5, 71]),
        (["-"], "5,\n71", [5, 71]),
        ([], "", []),
    ],
)
def test_detokenize_adds_nothing(
    run: Run, fake: FakeDaemon, arguments: list[str], stdin: str, tokens: list[int]
) -> None:
    fake.reply = Detokenized("Hum")
    done = run("detokenize", "demo", *arguments, stdin=stdin)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "Hum", "")
    assert fake.calls == [("/v1/detokenize", DetokenizeRequest(model="demo", tokens=tokens))]


def test_detokenize_json(run: Run, fake: FakeDaemon) -> None:
    fake.reply = Detokenized("Hum")
    assert msgspec.json.decode(run("detokenize", "demo", "5", "--json").stdout) == {"text": "Hum"}


def test_render_asks_as_run_does(run: Run, fake: FakeDaemon, tmp_path: Path) -> None:
    fake.reply = RENDERED
    tools = tmp_path / "tools.json"
    tools.write_text('[{"name": "clock"}]')
    done = run("render", "demo", "Why?", "-s", "Be brief.", "--tools", str(tools), stdin="A text.")
    assert (done.exit_code, done.stdout) == (0, "<user>Why?")
    messages = [Message("system", ["Be brief."]), Message("user", ["A text.", "\n\nWhy?"])]
    request = RenderRequest(model="demo", messages=messages, tools=[{"name": "clock"}])
    assert fake.calls == [("/v1/render", request)]


def test_render_prints_tokens_or_everything(run: Run, fake: FakeDaemon) -> None:
    fake.reply = RENDERED
    assert run("render", "demo", "Why?", "--tokens").stdout == "1 2 3\n"
    assert msgspec.json.decode(run("render", "demo", "Why?", "--json").stdout, type=RenderedPrompt) == RENDERED


@pytest.mark.parametrize(
    ("arguments", "stdin", "texts"),
    [
        (["llama", "alpaca"], "", ["llama", "alpaca"]),
        ([], "one\ntwo\n", ["one\ntwo\n"]),
        (["-"], "one", ["one"]),
        (["--lines"], "one\r\ntwo\u2028three\n", ["one", "two\u2028three"]),
    ],
)
def test_embed_prints_a_vector_a_line(
    run: Run, fake: FakeDaemon, arguments: list[str], stdin: str, texts: list[str]
) -> None:
    fake.reply = VECTORS
    done = run("embed", "demo", *arguments, stdin=stdin)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "[0.6,0.8]\n[1.0,0.0]\n", "")
    assert fake.calls == [("/v1/embed", EmbedRequest(model="demo", texts=texts))]


def test_embed_json(run: Run, fake: FakeDaemon) -> None:
    fake.reply = VECTORS
    assert msgspec.json.decode(run("embed", "demo", "llama", "--json").stdout, type=Embeddings) == VECTORS


@pytest.mark.parametrize(
    ("arguments", "stdin", "code"),
    [
        (["tokenize", "demo"], b"\xff", "request_invalid"),
        (["tokenize", "demo", "\udcff"], "", "request_invalid"),
        (["tokenize", "\udcff", "Hum."], "", "request_invalid"),
        (["detokenize", "demo", "five"], "", "request_invalid"),
        (["detokenize", "demo", "²"], "", "request_invalid"),
        (["detokenize", "demo", "9" * 5000], "", "request_invalid"),
        (["detokenize", "demo", "4294967296"], "", "request_invalid"),
        (["render", "demo"], "", "prompt_empty"),
        (["render", "demo", "Why?", "--tools", "nowhere"], "", "request_invalid"),
        (["render", "demo", "Why?", "--tools", "/dev/null"], "", "request_invalid"),
        (["embed", "demo"], "", "embedding_empty"),
        (["embed", "demo", "llama", ""], "", "embedding_empty"),
        (["embed", "demo", "--lines"], "one\n\ntwo", "embedding_empty"),
        (["embed", "demo", "one", "--lines"], "", "request_invalid"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_bad_input_is_named_before_a_daemon_starts(
    run: Run, user_home: Path, arguments: list[str], stdin: str | bytes, code: str
) -> None:
    done = run(*arguments, "--json", stdin=stdin)
    assert done.exit_code == EXIT_USAGE
    assert msgspec.json.decode(done.stdout)["error"]["code"] == code
    assert not list(user_home.rglob("erllama"))


@pytest.mark.parametrize("command", ["tokenize", "detokenize", "render", "embed"])
def test_a_refusal_keeps_its_name_and_exit_code(run: Run, fake: FakeDaemon, command: str) -> None:
    fake.refusal = (501, Failure("not_supported", "The model demo cannot do that.", None, EXIT_FAILED))
    done = run(command, "demo", "5", "--json")
    assert (done.exit_code, done.stderr) == (EXIT_FAILED, "erllama: The model demo cannot do that.\n")
    assert msgspec.json.decode(done.stdout)["error"]["code"] == "not_supported"


@pytest.mark.parametrize("command", ["tokenize", "detokenize", "render", "embed", "load"])
def test_a_missing_model_is_told_before_a_daemon_starts(run: Run, user_home: Path, command: str) -> None:
    assert run(command, "./nowhere.gguf", *([] if command == "load" else ["5"])).exit_code == EXIT_MODEL
    assert not list(user_home.rglob("erllama"))
