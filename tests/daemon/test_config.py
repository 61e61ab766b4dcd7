from __future__ import annotations

from pathlib import Path

import pytest

from erllama_cache.policy import Policy, PolicyKnobs
from erllama_daemon.catalog.configured import configured_options
from erllama_daemon.config import (
    ByteSize,
    CacheConfig,
    Config,
    Duration,
    LoadConfig,
    ModelConfig,
    RunConfig,
    SessionsConfig,
    Span,
    read_config,
)
from erllama_daemon.config.key import keys
from erllama_daemon.errors import EXIT_USAGE, ConfigInvalid
from erllama_daemon.messages import ModelOptions

DOCS = Path(__file__).parents[2] / "docs" / "config.md"

WHOLE = """
[cache]
ram_bytes = "1.5 GiB"
disk_bytes = 20_000_000_000
write_bytes_per_day = "500MB"

[sessions]
keep = "90d"

[load]
kv_type = "q8_0"
mmap = false
keep_alive = "forever"

[run]
model = "demo"
temperature = 1

[policy]
min_tokens = 8
continued_interval = 64

[models.demo.policy]
min_tokens = 16

[models.demo]
load.ctx = 512

[models."/models/big.gguf".policy]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def refusal(file: Path) -> str:
    """What is wrong with the file."""
    with pytest.raises(ConfigInvalid) as raised:
        read_config(file)
    assert (raised.value.code, raised.value.exit_code) == ("config_invalid", EXIT_USAGE)
    beginning = f"The configuration {file} is not valid: "
    assert str(raised.value).startswith(beginning)
    return str(raised.value)[len(beginning) :]


def test_no_file_and_an_empty_one_leave_everything_as_it_is(file: Path) -> None:
    assert read_config(file) == Config()
    file.touch()
    assert read_config(file) == Config()


def test_every_table_is_read(file: Path) -> None:
    file.write_text(WHOLE)
    assert read_config(file) == Config(
        cache=CacheConfig(
            ram_bytes=ByteSize(3 << 29), disk_bytes=ByteSize(20_000_000_000), write_bytes_per_day=ByteSize(500_000_000)
        ),
        sessions=SessionsConfig(keep=Span(90 * 86400)),
        load=LoadConfig(kv_type="q8_0", mmap=False, keep_alive=Duration(-1)),
        run=RunConfig(model="demo", temperature=1.0),
        policy=PolicyKnobs(min_tokens=8, continued_interval=64),
        models={
            "demo": ModelConfig(load=LoadConfig(ctx=512), policy=PolicyKnobs(min_tokens=16)),
            "/models/big.gguf": ModelConfig(),
        },
    )


@pytest.mark.parametrize(
    ("written", "size"),
    [(0, 0), (1, 1), ("7", 7), ("7b", 7), ("7 kB", 7_000), ("7KiB", 7168), ("1.5 mb", 1_500_000), ("2TiB", 1 << 41)],
)
def test_a_size_is_a_number_or_has_a_unit(written: object, size: int) -> None:
    assert ByteSize.of(written) == size


@pytest.mark.parametrize(("written", "seconds"), [("90d", 7_776_000), ("36 h", 129_600), ("1m", 60)])
def test_how_long_conversations_are_kept_has_a_unit(written: str, seconds: int) -> None:
    assert float(Span.of(written)) == seconds


@pytest.mark.parametrize("value", ["90", "true", '"90"', '"0d"', '"-1d"', '"forever"', '"1.5d"', '"9999999d"', '""'])
def test_what_is_no_time_to_keep_something_is_named(file: Path, value: str) -> None:
    file.write_text(f"sessions.keep = {value}")
    reason = refusal(file)
    assert reason == f'line 1: sessions.keep takes a time, such as "90d", "36h" or "30m", not {value}.'


@pytest.mark.parametrize(
    "value", ["-1", "true", "1000000000.0", '"lots"', '"-1 GiB"', "9" * 30, "1979-05-27", "[1]", "{ a = 1 }"]
)
def test_what_is_no_size_is_named(file: Path, value: str) -> None:
    file.write_text(f"cache.ram_bytes = {value}")
    reason = refusal(file)
    told = {"[1]": "an array", "{ a = 1 }": "a table"}.get(value, value)
    assert reason == f'line 1: cache.ram_bytes takes a size, such as "2 GiB" or 4096, not {told}.'


def test_what_is_wrong_is_quoted_in_part_if_it_is_long(file: Path) -> None:
    file.write_text(f'cache.ram_bytes = "{"9" * 400} TiB"')
    assert refusal(file).endswith(f', not "{"9" * 58}….')


@pytest.mark.parametrize(
    ("text", "line", "key", "nearest"),
    [
        ("[cache]\ndisk_bites = 1", 2, "cache.disk_bites", "cache.disk_bytes"),
        ("[cahce]\nram_bytes = 1", 1, "cahce", "cache"),
        ("ram_bytes = 1", 1, "ram_bytes", "cache.ram_bytes"),
        ("[cache]\nkeep = 1", 2, "cache.keep", "sessions.keep"),
        ("[policy]\nmintokens = 1", 2, "policy.mintokens", "policy.min_tokens"),
        ("[models.demo.polcy]", 1, "models.demo.polcy", "models.demo.policy"),
        (
            '[models."/a.b".policy]\n\ncold_max_token = 1',
            3,
            'models."/a.b".policy.cold_max_token',
            'models."/a.b".policy.cold_max_tokens',
        ),
    ],
)
def test_an_unknown_key_is_named_with_its_line_and_the_nearest_one(
    file: Path, text: str, line: int, key: str, nearest: str
) -> None:
    file.write_text(text)
    assert refusal(file) == f"line {line}: {key}: there is no such key; the nearest is {nearest}."


def test_a_key_that_is_near_none_is_merely_named(file: Path) -> None:
    file.write_text("zzz = 1")
    assert refusal(file) == "line 1: zzz: there is no such key."


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cache = 1", "cache: it is a table, not 1."),
        ("policy = []", "policy: it is a table, not an array."),
        ("models.demo = true", "models.demo: it is a table, not true."),
        ("policy.min_tokens = 'a'", 'policy.min_tokens takes a whole number from 0 to 2147483647, such as 1, not "a".'),
        ("policy.min_tokens = -1", "policy.min_tokens takes a whole number from 0 to 2147483647, such as 1, not -1."),
        ("load.ctx = true", "load.ctx takes a whole number from 1 to 16777216, such as 8192, not true."),
        ("load.mmap = 1", "load.mmap takes true or false, not 1."),
        ("load.flash_attention = 'of'", 'load.flash_attention takes one of auto, on, off, not "of".'),
        ("load.keep_alive = -2", 'load.keep_alive takes a duration, such as "2h", "forever" or "30s", not -2.'),
        ("run.top_p = nan", "run.top_p takes a number from 0 to 1, such as 0.95, not nan."),
        ("run.model = ''", 'run.model takes a text that is not empty, such as "demo", not "".'),
        ("daemon.log_bytes = 0", 'daemon.log_bytes takes a size from 1 up, such as "10 MiB", "2 GiB" or 4096, not 0.'),
        (
            "models.demo.policy.continued_interval = 257",
            "models.demo.policy.continued_interval takes a whole number from 1 to 256, such as 256, not 257.",
        ),
        ("models.'./a.gguf'.policy = {}", 'models."./a.gguf": the path of a model must be absolute.'),
        ("models.'a/b.gguf'.policy = {}", 'models."a/b.gguf": the path of a model must be absolute.'),
        ("models.' '.policy = {}", 'models." ": the name is empty.'),
        (
            """daemon.http_hosts = ["llama", "http://foo:80/"]""",
            'daemon.http_hosts takes a list of hosts, such as "llama.example.org", not "http://foo:80/".',
        ),
        (
            """daemon.http_cors_origins = '["https://my.page"]'""",
            'daemon.http_cors_origins takes a list of origins without a path, such as "https://chat.example.org", '
            r'not "[\"https://my.page\"]".',
        ),
        (
            """daemon.http_model_folders = "/a, relative/x" """,
            'daemon.http_model_folders takes a list of folders, absolute or from ~ on, such as "/home/me/models", '
            'not "relative/x".',
        ),
        ("aliases = {a = 'b', b = 'c'}", "aliases.a: b is an alias itself; name what it stands for."),
    ],
)
def test_a_value_that_does_not_fit_is_named(file: Path, text: str, reason: str) -> None:
    file.write_text(f"\n{text}")
    assert refusal(file) == f"line 2: {reason}"


def test_all_that_is_wrong_is_told_at_once(file: Path) -> None:
    file.write_text("[cache]\nram_bytes = true\n[load]\nctx = 0\nthread = 1\n")
    with pytest.raises(ConfigInvalid) as raised:
        read_config(file)
    assert str(raised.value).splitlines() == [
        f"The configuration {file} is not valid:",
        '  line 2: cache.ram_bytes takes a size, such as "2 GiB" or 4096, not true.',
        "  line 4: load.ctx takes a whole number from 1 to 16777216, such as 8192, not 0.",
        "  line 5: load.thread: there is no such key; the nearest is load.threads.",
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_key(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf[cache]\nram_bytes = 1\n")
    assert read_config(file).cache.ram_bytes == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"[cache]\n\nram_bytes 1", "line 3, column 11: "),
        (b"[cache]\nram_bytes = 1\nram_bytes = 2\n", "line 3, column 14: "),
        (b'[cache]\n[policy]\nmin_tokens = """1\n\n', "line 3: "),
        (b"[run]\ntop_k = 1\n[run]\n", "line 3, column 5: cannot declare run twice"),
        (b"[models.'a b'.load]\n[models.'a b'.load]\n", 'line 2, column 19: cannot declare models."a b".load twice'),
        (b"[cache]\nram_bytes = '\xff'", "line 2 is not UTF-8"),
        (b"a = " + b"[" * 60_000, "it is nested too deeply"),
    ],
)
def test_what_is_no_toml_is_named_by_its_line(file: Path, text: bytes, reason: str) -> None:
    file.write_bytes(text)
    assert refusal(file).startswith(reason)


def test_a_file_that_cannot_be_read_is_named(file: Path) -> None:
    file.mkdir()
    assert refusal(file) == "is a directory."


def test_the_knobs_are_those_of_the_policy() -> None:
    assert PolicyKnobs.__struct_fields__ == Policy.__struct_fields__
    assert Policy().with_knobs(PolicyKnobs()) == Policy()


def test_what_is_said_of_one_model_comes_over_what_is_said_of_all_key_by_key(tmp_path: Path) -> None:
    path, link = tmp_path / "a.gguf", tmp_path / "link.gguf"
    path.touch()
    link.symlink_to(path)
    config = Config(
        aliases={"mine": str(path)},
        load=LoadConfig(ctx=512, parallel=2),
        policy=PolicyKnobs(min_tokens=1, cold_min_tokens=1, cold_max_tokens=1),
        models={
            str(tmp_path / "gone.gguf"): ModelConfig(policy=PolicyKnobs(min_tokens=9)),
            str(link): ModelConfig(
                load=LoadConfig(ctx=1024, keep_alive=Duration(-1)),
                policy=PolicyKnobs(min_tokens=2, cold_min_tokens=2),
            ),
            "mine": ModelConfig(load=LoadConfig(threads=3), policy=PolicyKnobs(min_tokens=3)),
        },
    )
    assert configured_options(config, path) == ModelOptions(
        context_size=1024,
        parallel=2,
        threads=3,
        keep_alive_s=-1,
        policy=PolicyKnobs(min_tokens=3, cold_min_tokens=2, cold_max_tokens=1),
    )
    assert configured_options(config, tmp_path / "b.gguf") == ModelOptions(
        context_size=512, parallel=2, policy=config.policy
    )


def test_the_table_of_an_alias_counts_wherever_its_file_is(user_home: Path) -> None:
    path = user_home / "a.gguf"
    path.touch()
    config = Config(aliases={"mine": "~/a.gguf"}, models={"mine": ModelConfig(load=LoadConfig(threads=3))})
    assert configured_options(config, path).threads == 3


def test_the_example_of_the_docs_is_valid(file: Path) -> None:
    file.write_text(DOCS.read_text().split("```toml\n")[1].split("```")[0])
    config = read_config(file)
    assert config.cache.disk_bytes is not None
    assert config.models


def test_the_docs_have_a_place_for_the_keys_of_every_table() -> None:
    text = DOCS.read_text()
    tables = {key.path[0] for key in keys() if key.path[0] != "models"}
    assert len(tables) > 5
    assert {table for table in tables if f"<!-- the keys of {table} -->" not in text} == set()
