"""Where each key comes from: file, environment, option; and what is told of those that come from nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erllama_daemon.config import effective
from erllama_daemon.config.key import Key, dotted, find, keys, nearest, split
from erllama_daemon.config.overrides import unknown_variables, variables
from erllama_daemon.errors import ConfigInvalid
from erllama_daemon.messages import Setting


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def row(file: Path, key: str, environment: dict[str, str] | None = None, *options: str) -> Setting:
    (found,) = [row for row in effective(file, environment or {}, options).rows() if row.key == key]
    return found


def test_the_option_counts_before_the_environment_that_before_the_file_and_that_before_the_default(file: Path) -> None:
    key, environment = "daemon.log_bytes", {"ERLLAMA_DAEMON_LOG_BYTES": "3MiB"}
    shown = row(file, key)
    assert (shown.origin, shown.line, shown.written, shown.value) == ("default", None, "10 MiB", 10 << 20)
    file.write_text("\n[daemon]\nlog_bytes = 4096\n")
    shown = row(file, key)
    assert (shown.origin, shown.line, shown.written, shown.value) == ("file", 3, "4096", 4096)
    shown = row(file, key, environment)
    assert (shown.origin, shown.line, shown.written, shown.value) == ("environment", None, "3MiB", 3 << 20)
    shown = row(file, key, environment, f"{key}=1", f"{key}=2 KiB")
    assert (shown.origin, shown.line, shown.written, shown.value) == ("option", None, "2 KiB", 2048)
    config = effective(file, environment, (f"{key}=5",)).config
    assert config.daemon.log_bytes == 5


def test_an_empty_variable_sets_nothing(file: Path) -> None:
    assert row(file, "run.model", {"ERLLAMA_RUN_MODEL": ""}).origin == "default"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("load.mmap=false", False),
        ("load.gpu_layers=-1", -1),
        ("load.keep_alive=-1", -1.0),
        ("load.keep_alive=1.5", 1.5),
        ("load.keep_alive=2 h", 7200.0),
        ("run.temperature=1", 1.0),
        ("run.temperature=1e-3", 0.001),
        ("run.system=a = b", "a = b"),
        ("run.system=7", "7"),
        ('aliases."a=b"=demo', "demo"),
        ("aliases.qwen3:4b=demo", "demo"),
        ("models./home/me/a.gguf.load.ctx=512", 512),
        ('daemon.http_cors_origins=["https://My.page:443/", "http://b:3000"]', "https://my.page,http://b:3000"),
        ("daemon.http_cors_origins=https://my.page/, *,null, app://x-y", "https://my.page,*,null,app://x-y"),
        ("daemon.http_hosts=[::1]:80,Llama:8080", "[::1],llama"),
        ("daemon.http_hosts=['llama']", "llama"),
        ("daemon.http_model_folders=['/a b', '~/m']", "/a b,~/m"),
        ("models.'/home/me/a=b.gguf'.policy.min_tokens=2", 2),
    ],
)
def test_an_option_is_written_without_quotes(file: Path, option: str, value: object) -> None:
    (set_row,) = [row for row in effective(file, {}, (option,)).rows() if row.origin == "option"]
    assert (set_row.value, type(set_row.value)) == (value, type(value))


@pytest.mark.parametrize(
    ("environment", "options", "told"),
    [
        (
            {"ERLLAMA_LOAD_CTX": "big"},
            (),
            'ERLLAMA_LOAD_CTX takes a whole number from 1 to 16777216, such as 8192, not "big"',
        ),
        ({"ERLLAMA_LOAD_MMAP": "yes"}, (), 'ERLLAMA_LOAD_MMAP takes true or false, not "yes"'),
        ({}, ("cache.ram_bytes=lots",), '--set cache.ram_bytes takes a size, such as 2 GiB or 4096, not "lots"'),
        (
            {"ERLLAMA_DAEMON_HTTP_CORS_ORIGINS": '["https://a", "https://b/c"]'},
            (),
            "ERLLAMA_DAEMON_HTTP_CORS_ORIGINS takes a list of origins without a path, such as "
            'https://chat.example.org, not "https://b/c"',
        ),
        (
            {},
            ("daemon.http_hosts=[1]",),
            "--set daemon.http_hosts takes a list of hosts, such as llama.example.org, not 1",
        ),
        ({}, ("daemon.http_model_folders=m",), "--set daemon.http_model_folders takes a list of folders"),
        ({}, ("cahce.ram=1",), "--set cahce.ram: there is no such key; the nearest is cache.ram_bytes"),
        ({}, ("cache=1",), '--set cache: it is a table, not "1"'),
        ({}, ("cache.ram_bytes",), "--set takes KEY=VALUE, not cache.ram_bytes"),
        ({}, ("=1",), "--set takes KEY=VALUE, not =1"),
        ({"ERLLAMA_RUN_MODEL": "\udcff"}, (), "ERLLAMA_RUN_MODEL takes a text that is not empty, such as demo, not"),
    ],
)
def test_what_is_wrong_outside_the_file_is_named_by_its_variable_or_option(
    file: Path, environment: dict[str, str], options: tuple[str, ...], told: str
) -> None:
    with pytest.raises(ConfigInvalid) as raised:
        effective(file, environment, options)
    assert str(raised.value).startswith(f"The configuration of this process is not valid: {told}")


def test_a_variable_that_sets_nothing_is_told_with_the_nearest() -> None:
    environment = {
        "ERLLAMA_CACHE_RAM_BITES": "1",
        "ERLLAMA_SOCKET": "/s",
        "ERLLAMA_ZZ_QQ": "",
        "_ERLLAMA_COMPLETE": "x",
    }
    assert unknown_variables(environment) == [
        "The variable ERLLAMA_CACHE_RAM_BITES sets nothing; the nearest is ERLLAMA_CACHE_RAM_BYTES.",
        "The variable ERLLAMA_ZZ_QQ sets nothing.",
    ]


def test_each_key_without_a_name_has_a_variable_of_its_own_and_says_what_it_is_for() -> None:
    plain = [key for key in keys() if key.variable is not None]
    assert len(variables()) == len(plain) > 20
    for key in keys():
        assert key.summary.endswith(".") and len(key.summary) <= 72
        assert key.takes()
        assert key.default is None or key.kind.of(key.kind.written(key.default)) is not None
        for example in key.examples:
            assert key.kind.of(example) is not None


def test_the_defaults_that_are_told_are_those_of_the_programme() -> None:
    from erllama_cache.policy import Policy
    from erllama_daemon.choices import MAX_TOKENS
    from erllama_daemon.config import KEEP_ALIVE_S
    from erllama_daemon.frames import Configure

    started = Configure(model="", path="", cache="", ram_bytes=0)
    told = {key.path: key.kind.of(key.kind.written(key.default)) for key in keys() if key.default is not None}
    for name in ("parallel", "kv_type", "flash_attention", "gpu_layers", "mmap"):
        assert told["load", name] == getattr(started, name)
    for name in Policy.__struct_fields__:
        assert told["policy", name] == getattr(Policy(), name)
    assert told["load", "keep_alive"] == KEEP_ALIVE_S
    assert told["run", "max_tokens"] == MAX_TOKENS


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


@given(NAMES)
def test_a_key_is_typed_as_it_is_told(name: str) -> None:
    for path in (("aliases", name), ("models", name, "load", "ctx"), ("models", name)):
        assert split(dotted(path)) == path


@pytest.mark.parametrize("text", ["", ".", "a..b", "a b", "a.", '"a', "a.'b"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        split(text)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("ram_bytes", "cache.ram_bytes"),
        ("cahce.ram_byte", "cache.ram_bytes"),
        ("load.context", "load.ctx"),
        ("load.zzzzz", None),
        ("daemon.keep_alive", "load.keep_alive"),
        ("models.demo.load.threds", "models.demo.load.threads"),
    ],
)
def test_the_nearest_key_is_found(typed: str, meant: str | None) -> None:
    assert find(split(typed)) is None
    assert nearest(split(typed)) == meant


def test_names_stand_for_themselves() -> None:
    found = find(("models", "any thing", "load", "ctx"))
    assert isinstance(found, Key)
    assert found.name == "models.NAME.load.ctx"
