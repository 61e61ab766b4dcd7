"""Options of `run` and `chat`: what reaches the daemon, and what never gets so far."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon, answer

from erllama_cache.policy import PolicyKnobs
from erllama_cli.durations import duration_s
from erllama_cli.options.sampling import SamplingOptions
from erllama_daemon.errors import EXIT_MODEL, EXIT_USAGE, RequestInvalid
from erllama_daemon.messages import AdapterChoice, CompleteRequest, ModelOptions
from erllama_daemon.messages.checks import check_sampling


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the command runs."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.gguf", "b=2.gguf", "c.gguf=3"):
        (tmp_path / name).touch()
    (tmp_path / "g.gbnf").write_text('root ::= "yes" | "no"\n')
    (tmp_path / "s.json").write_text('{"type": "object"}')
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "deep.json").write_text("[" * 60_000)
    (tmp_path / "latin.gbnf").write_bytes(b"root ::= \xff")
    (tmp_path / "big").write_bytes(b"#" * (1 << 20))
    return tmp_path


def _asked(run: Run, fake: FakeDaemon, *arguments: str) -> CompleteRequest:
    fake.answers.append(answer("I."))
    done = run(*arguments, stdin="" if arguments[0] == "run" else "Who?")
    assert (done.exit_code, done.stderr) == (0, "")
    return fake.asked[-1]


@pytest.mark.parametrize("command", [("run", "demo", "Who?"), ("chat", "demo")])
def test_every_option_reaches_the_daemon(run: Run, fake: FakeDaemon, folder: Path, command: tuple[str, ...]) -> None:
    options = "--stop END --stop . --logit-bias 5=-100 --logit-bias 7=0.5 --logprobs 3 --json --reproducible"
    request = _asked(run, fake, *command, *options.split(), "--grammar", "g.gbnf", "--adapter", "a.gguf=-0.5")
    assert request.stop == ["END", "."]
    assert request.sampling.logit_bias == {5: -100.0, 7: 0.5}
    assert (request.logprobs, request.reproducible) == (3, True)
    assert request.sampling.grammar == 'root ::= "yes" | "no"\n'
    assert request.adapters == [AdapterChoice(str(folder / "a.gguf"), -0.5)]
    assert _asked(run, fake, *command, "--json-schema", "s.json").sampling.json_schema == '{"type": "object"}'


@pytest.mark.parametrize("command", [("run", "demo", "Who?"), ("chat", "demo")])
def test_model_options_reach_the_daemon(run: Run, fake: FakeDaemon, command: tuple[str, ...]) -> None:
    options = "--ctx 4096 --kv-type q8_0 --flash-attention off --gpu-layers -1 --threads 2 --no-mmap --parallel 8"
    assert _asked(run, fake, *command, *options.split(), "--keep-alive", "10m").options == ModelOptions(
        context_size=4096,
        kv_type="q8_0",
        flash_attention="off",
        gpu_layers=-1,
        threads=2,
        mmap=False,
        parallel=8,
        keep_alive_s=600.0,
    )
    assert _asked(run, fake, *command, "--keep-alive", "-1").options.keep_alive_s == -1


@pytest.mark.parametrize("command", [("run", "demo", "Who?"), ("chat", "demo")])
def test_only_the_knobs_that_are_turned_reach_the_daemon(run: Run, fake: FakeDaemon, command: tuple[str, ...]) -> None:
    options = _asked(run, fake, *command, "--policy", "min_tokens=5", "--policy", "continued_interval=64").options
    assert options == ModelOptions(policy=PolicyKnobs(min_tokens=5, continued_interval=64))


@pytest.mark.parametrize("command", [("run", "demo", "Who?"), ("chat", "demo")])
def test_the_fingerprint_options_reach_the_daemon(run: Run, fake: FakeDaemon, command: tuple[str, ...]) -> None:
    chunked = _asked(run, fake, *command, "--fingerprint-mode", "gguf_chunked").options
    assert chunked == ModelOptions(fingerprint_mode="gguf_chunked")
    given = _asked(run, fake, *command, "--fingerprint-mode", "fast_unsafe", "--fingerprint", "AB" * 32).options
    assert given == ModelOptions(fingerprint_mode="fast_unsafe", fingerprint="ab" * 32)


@pytest.mark.parametrize("command", [("run", "demo", "Who?"), ("chat", "demo")])
def test_what_is_wanted_of_the_cache_reaches_the_daemon(run: Run, fake: FakeDaemon, command: tuple[str, ...]) -> None:
    plain = _asked(run, fake, *command)
    assert (plain.private, plain.cache, plain.require_cached) == (False, True, None)
    assert _asked(run, fake, *command, "--private").private
    assert not _asked(run, fake, *command, "--no-cache").cache
    assert _asked(run, fake, *command, "--require-cached=500").require_cached == 500
    assert _asked(run, fake, *command, "--require-cached").require_cached == "prefix"


def test_the_prompt_is_no_value_of_require_cached(run: Run, fake: FakeDaemon) -> None:
    request = _asked(run, fake, "run", "demo", "--require-cached", "500")
    assert (request.require_cached, request.messages[0].text) == ("prefix", "500")
    request = _asked(run, fake, "run", "demo", "--", "--require-cached")
    assert (request.require_cached, request.messages[0].text) == (None, "--require-cached")


def test_what_is_not_given_is_left_to_the_daemon(run: Run, fake: FakeDaemon) -> None:
    request = _asked(run, fake, "run", "demo", "Who?")
    assert request == CompleteRequest(messages=request.messages, model="demo")


def test_a_chat_may_drop_its_oldest_turns(run: Run, fake: FakeDaemon) -> None:
    assert _asked(run, fake, "chat", "demo").overflow == "stop"
    assert _asked(run, fake, "chat", "demo", "--overflow", "drop").overflow == "drop"


@pytest.mark.parametrize(
    ("text", "file", "scale"),
    [
        ("a.gguf", "a.gguf", 1.0),
        ("a.gguf=0.25", "a.gguf", 0.25),
        ("b=2.gguf", "b=2.gguf", 1.0),
        ("b=2.gguf=2", "b=2.gguf", 2.0),
        ("c.gguf=3", "c.gguf=3", 1.0),
    ],
)
def test_an_adapters_file_may_hold_the_equals_sign(
    run: Run, fake: FakeDaemon, folder: Path, text: str, file: str, scale: float
) -> None:
    request = _asked(run, fake, "run", "demo", "Who?", "--adapter", text)
    assert request.adapters == [AdapterChoice(str(folder / file), scale)]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "text", ["nowhere.gguf", "nowhere.gguf=1", "a.gguf=half", ".", "a" * 300], ids=lambda text: text[:20]
)
def test_an_adapter_that_is_no_file_is_told_before_a_daemon_starts(run: Run, user_home: Path, text: str) -> None:
    done = run("run", "demo", "Who?", "--adapter", text, "--json")
    assert done.exit_code == EXIT_MODEL
    assert msgspec.json.decode(done.stdout)["error"]["code"] == "adapter_unreadable"
    assert not list(user_home.rglob("erllama"))


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("command", [("run", "demo", "Who?"), ("chat", "demo")])
@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--stop", ""], "request_invalid"),
        (["--repeat-penalty", "0"], "request_invalid"),
        (["-t", "inf"], "request_invalid"),
        (["--grammar", "nowhere"], "grammar_invalid"),
        (["--grammar", "."], "grammar_invalid"),
        (["--grammar", "big"], "grammar_invalid"),
        (["--grammar", "latin.gbnf"], "grammar_invalid"),
        (["--json-schema", "nowhere"], "json_schema_invalid"),
        (["--json-schema", "big"], "json_schema_invalid"),
        (["--json-schema", "broken.json"], "json_schema_invalid"),
        (["--json-schema", "deep.json"], "json_schema_invalid"),
        (["--grammar", "g.gbnf", "--json-schema", "s.json"], "request_invalid"),
        (["--logit-bias", "5"], "request_invalid"),
        (["--logit-bias", "five=1"], "request_invalid"),
        (["--logit-bias", "5=nan"], "request_invalid"),
        (["--logit-bias", "5=-inf"], "request_invalid"),
        (["--logit-bias", "-1=1"], "request_invalid"),
        (["--adapter", "a.gguf=nan"], "request_invalid"),
        (["--policy", "min_tokens"], "request_invalid"),
        (["--policy", "min_token=1"], "request_invalid"),
        (["--policy", "min_tokens=-1"], "request_invalid"),
        (["--policy", "continued_interval=0"], "request_invalid"),
        (["--policy", "cold_max_tokens=" + "9" * 30], "request_invalid"),
        (["--keep-alive", "soon"], "request_invalid"),
        (["--keep-alive", "-5"], "request_invalid"),
        (["--keep-alive", "9" * 400 + "h"], "request_invalid"),
        (["--keep-alive", "nan"], "request_invalid"),
        (["--private", "--no-cache"], "request_invalid"),
        (["--no-cache", "--require-cached"], "request_invalid"),
        (["--no-cache", "--require-cached=5"], "request_invalid"),
        (["--require-cached=0"], "request_invalid"),
        (["--require-cached="], "request_invalid"),
        (["--require-cached=-1"], "request_invalid"),
        (["--require-cached=many"], "request_invalid"),
        (["--require-cached=" + "9" * 5000], "request_invalid"),
        (["--fingerprint", "ab" * 32], "request_invalid"),
        (["--fingerprint-mode", "fast_unsafe"], "request_invalid"),
        (["--fingerprint-mode", "fast_unsafe", "--fingerprint", "ab" * 31], "request_invalid"),
        (["--fingerprint-mode", "fast_unsafe", "--fingerprint", "xy" * 32], "request_invalid"),
        (["--fingerprint-mode", "safe", "--fingerprint", "ab" * 32], "request_invalid"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_a_bad_value_is_named_before_a_daemon_starts(
    run: Run, user_home: Path, command: tuple[str, ...], options: list[str], code: str
) -> None:
    done = run(*command, *options, "--json", stdin="" if command[0] == "run" else "Who?")
    assert done.exit_code == EXIT_USAGE
    assert msgspec.json.decode(done.stdout)["error"]["code"] == code
    assert not list(user_home.rglob("erllama"))


@pytest.mark.parametrize(
    "option",
    [
        "-t=nan",
        "-t=-1",
        "--top-p=2",
        "--top-p=nan",
        "--min-p=nan",
        "--min-p=-0.1",
        "--repeat-penalty=nan",
        "--top-k=-1",
        "--seed=-1",
        "--ctx=0",
        "--parallel=0",
        "--parallel=65",
        "--gpu-layers=-2",
        "--threads=0",
        "--kv-type=q9",
        "--flash-attention=maybe",
        "--logprobs=21",
    ],
)
def test_a_value_out_of_range_is_a_usage_error(run: Run, user_home: Path, option: str) -> None:
    name, _, value = option.partition("=")
    done = run("run", "demo", "Who?", name, value, "--json")
    assert (done.exit_code, name.lstrip("-")[:1] in done.stderr) == (EXIT_USAGE, True)
    assert not list(user_home.rglob("erllama"))


@pytest.mark.parametrize("key", ["temperature", "top_p", "min_p", "repeat_penalty"])
def test_nan_lies_in_no_range_even_if_the_parser_lets_it_pass(key: str) -> None:
    changes: Any = {key: math.nan}
    with pytest.raises(RequestInvalid, match=key):
        check_sampling(SamplingOptions(**changes).sampling())


def test_logprobs_need_json(run: Run, user_home: Path) -> None:
    done = run("run", "demo", "Who?", "--logprobs", "3")
    assert (done.exit_code, done.stdout) == (EXIT_USAGE, "")
    assert "--logprobs goes with --json" in done.stderr
    assert not list(user_home.rglob("erllama"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("10m", 600), ("2h", 7200), ("1d", 86400), ("0", 0), ("1.5m", 90), ("45", 45), ("forever", -1)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-t", "inf"], "--temperature must be a 32-bit number from 0 up"),
        (["--repeat-penalty", "0"], "--repeat-penalty must be a 32-bit number above 0"),
        (["--stop", ""], "--stop is empty"),
        (["--ctx", "99999999"], "--ctx must lie between 1 and 16777216"),
        (["--require-cached=0"], "--require-cached must lie between 1 and 2147483647"),
        (["--adapter", "a.gguf=nan"], "an adapter's scale must be a finite 32-bit number"),
        (
            ["--fingerprint", "ab" * 32],
            "--fingerprint goes with the --fingerprint-mode fast_unsafe, and only with it",
        ),
    ],
    ids=str,
)
@pytest.mark.usefixtures("folder")
def test_what_is_wrong_is_said_of_the_option_that_was_typed(run: Run, options: list[str], said: str) -> None:
    told = run("run", "demo", "Why?", *options).stderr
    assert told.splitlines()[0] == f"erllama: The request is not valid: {said}."
