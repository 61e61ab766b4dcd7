from __future__ import annotations

from pathlib import Path

import pytest

from erllama_cache.policy import Policy, PolicyKnobs
from erllama_daemon.config import ByteSize, CacheConfig, Config, ModelConfig, SessionsConfig, Span, keys_of, read_config
from erllama_daemon.errors import EXIT_USAGE, ConfigInvalid
from erllama_daemon.models.policy import configured_policy

DOCS = Path(__file__).parents[2] / "docs" / "config.md"
KEYS = {
    key
    for table in (keys_of(Config), keys_of(ModelConfig, "models.NAME."))
    for key in table
    if not key.endswith(("cache", "sessions", "policy", "models"))
}

WHOLE = """
[cache]
ram_bytes = "1.5 GiB"
disk_bytes = 20_000_000_000
write_bytes_per_day = "500MB"

[sessions]
keep = "90d"

[policy]
min_tokens = 8
continued_interval = 64

[models.demo.policy]
min_tokens = 16

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
        policy=PolicyKnobs(min_tokens=8, continued_interval=64),
        models={"demo": ModelConfig(policy=PolicyKnobs(min_tokens=16)), "/models/big.gguf": ModelConfig()},
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
    assert reason.startswith("sessions.keep: ")
    assert reason.endswith(" is no time that something is kept; write 90d, 36h or 30m.")


@pytest.mark.parametrize(
    "value", ["-1", "true", "1e9", '"lots"', '"-1 GiB"', f'"{"9" * 400} TiB"', "9" * 30, "1979-05-27"]
)
def test_what_is_no_size_is_named(file: Path, value: str) -> None:
    file.write_text(f"cache.ram_bytes = {value}")
    reason = refusal(file)
    assert reason.startswith("cache.ram_bytes: ")
    assert reason.endswith(" is no size; write 4096, 500MB or 2GiB.")


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        ("[cache]\ndisk_bites = 1", "cache.disk_bites", "cache.disk_bytes"),
        ("[cahce]", "cahce", "cache"),
        ("ram_bytes = 1", "ram_bytes", "cache.ram_bytes"),
        ("[policy]\nmintokens = 1", "policy.mintokens", "policy.min_tokens"),
        ("[models.demo.polcy]", "models.demo.polcy", "models.demo.policy"),
        (
            '[models."/a.b".policy]\ncold_max_token = 1',
            'models."/a.b".policy.cold_max_token',
            'models."/a.b".policy.cold_max_tokens',
        ),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_one(file: Path, text: str, key: str, nearest: str) -> None:
    file.write_text(text)
    assert refusal(file) == f"{key}: there is no such key; the nearest is {nearest}."


def test_a_key_that_is_near_none_is_merely_named(file: Path) -> None:
    file.write_text("zzz = 1")
    assert refusal(file) == "zzz: there is no such key."


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cache = 1", "cache: expected a table, got an integer."),
        ("policy = []", "policy: expected a table, got `array`."),
        ("models = 1", "models: expected a table."),
        ("models.demo = 1", "models.demo: expected a table, got an integer."),
        ("policy.min_tokens = 'a'", "policy.min_tokens: expected an integer, got `str`."),
        ("policy.min_tokens = -1", "policy.min_tokens: expected an integer >= 0."),
        (
            "policy.evict_save_timeout_ms = 2147483648",
            "policy.evict_save_timeout_ms: expected an integer <= 2147483647.",
        ),
        (
            "models.demo.policy.continued_interval = 0",
            "models.demo.policy.continued_interval: expected an integer >= 1.",
        ),
        ("models.'./a.gguf'.policy = {}", 'models."./a.gguf": the path of a model must be absolute.'),
    ],
)
def test_a_value_that_does_not_fit_is_named(file: Path, text: str, reason: str) -> None:
    file.write_text(text)
    assert refusal(file) == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"[cache]\n\nram_bytes 1", "line 3, column 11: "),
        (b"[cache]\nram_bytes = 1\nram_bytes = 2\n", "line 3, column 14: "),
        (b'[cache]\n[policy]\nmin_tokens = """1\n\n', "line 3: "),
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


def test_a_models_knobs_come_over_the_common_ones_one_by_one(tmp_path: Path) -> None:
    path, link = tmp_path / "a.gguf", tmp_path / "link.gguf"
    path.touch()
    link.symlink_to(path)
    config = Config(
        policy=PolicyKnobs(min_tokens=1, cold_min_tokens=1, cold_max_tokens=1),
        models={
            str(tmp_path / "gone.gguf"): ModelConfig(policy=PolicyKnobs(min_tokens=9)),
            str(link): ModelConfig(policy=PolicyKnobs(min_tokens=2, cold_min_tokens=2)),
            str(path): ModelConfig(policy=PolicyKnobs(min_tokens=3)),
        },
    )
    assert configured_policy(config, path) == PolicyKnobs(min_tokens=3, cold_min_tokens=2, cold_max_tokens=1)
    assert configured_policy(config, tmp_path / "b.gguf") == config.policy


def test_the_docs_name_every_key_and_their_example_is_valid(file: Path) -> None:
    text = DOCS.read_text()
    named = {key.replace("models.NAME.", "") for key in KEYS}
    assert {key for key in named if f"`{key}`" not in text and f"`{key.rpartition('.')[2]}`" not in text} == set()
    file.write_text(text.split("```toml\n")[1].split("```")[0])
    config = read_config(file)
    assert config.cache.disk_bytes is not None
    assert config.models
