"""`erllama config`: what is shown, printed, written and refused."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon
from cli.terminal import Terminal
from cli.test_config import configure

from erllama_cli.completion.candidates import complete_config_key, complete_setting
from erllama_cli.config import change
from erllama_cli.one_line import columns
from erllama_cli.results.config import ChangedConfig, ConfigPath, ShownConfig, ShownSetting
from erllama_daemon.config import effective
from erllama_daemon.directories import user_directories
from erllama_daemon.errors import EXIT_FAILED, EXIT_USAGE
from erllama_daemon.messages import DaemonSettings, Setting

FILE = """\
# mine
[cache]
ram_bytes = "1 GiB" # why

[models.dmeo.load]
ctx = 512
"""


def shown(run: Run) -> ShownConfig:
    return msgspec.json.decode(run("config", "show", "--json").stdout, type=ShownConfig)


def key_of(config: ShownConfig, key: str) -> ShownSetting:
    (found,) = [setting for setting in config.settings if setting.key == key]
    return found


def daemon_with(text: str, *options: str, path: Path | None = None) -> DaemonSettings:
    file = user_directories().config_file
    before = file.read_bytes() if file.exists() else None
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    rows = effective(file, {}, options).rows()
    file.unlink() if before is None else file.write_bytes(before)
    return DaemonSettings(str(path or file), rows)


def test_path_prints_where_the_file_is_and_makes_none(run: Run) -> None:
    file = user_directories().config_file
    assert run("config", "path").stdout == f"{file}\n"
    assert msgspec.json.decode(run("config", "path", "--json").stdout, type=ConfigPath) == ConfigPath(str(file), False)
    assert not file.parent.exists()


def test_show_has_every_key_with_its_value_its_origin_and_its_default(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(FILE)
    monkeypatch.setenv("ERLLAMA_RUN_TOP_K", "3")
    monkeypatch.setenv("COLUMNS", "80")
    done = run("config", "show")
    lines = done.stdout.splitlines()
    assert lines[0] == str(user_directories().config_file)
    told = {line.split()[0]: " ".join(line.split()[1:]) for line in lines[1:] if line and line[0] != " "}
    assert told["cache.ram_bytes"] == "1 GiB file, line 3"
    assert told["run.top_k"] == "3 environment"
    assert told["daemon.log_bytes"] == "10 MiB default"
    assert told["models.dmeo.load.ctx"] == "512 file, line 6"
    assert "  The cache in memory, of all models together. Default: 1/16 of memory, at most" in lines
    assert max(map(columns, lines)) <= 80
    assert done.stderr == "line 5: models.dmeo: there is no such model now; the nearest is demo.\n"


def test_show_fits_a_narrow_terminal_without_a_break_within_a_word(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(f'[run]\nsystem = "{"long " * 30}"\nmodel = "x\\u001b[31m"\n')
    monkeypatch.setenv("COLUMNS", "40")
    done = run("config", "show", "--all")
    lines = done.stdout.splitlines()
    assert [line for line in lines if columns(line) > 40 and " " in line.strip()] == []
    assert "models.NAME.policy.evict_save_timeout_ms" in lines
    assert "  ERLLAMA_POLICY_EVICT_SAVE_TIMEOUT_MS" in lines
    assert "\x1b" not in done.stdout


def test_a_terminal_gets_what_a_key_is_for_in_faint_letters(terminals: list[Terminal]) -> None:
    terminals.append(Terminal("config", "show", kind="xterm", columns=60))
    code, said = terminals[-1].rest()
    assert code == 0
    assert "\x1b[2mHow many threads compute.\x1b[0m" in said
    assert max(columns(line) for line in said.replace("\x1b[2m", "").replace("\x1b[0m", "").splitlines()[1:]) <= 60


def test_a_variable_that_sets_nothing_is_a_warning_and_no_more(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERLLAMA_CACHE_RAM", "1")
    done = run("config", "show")
    assert done.exit_code == 0
    assert done.stderr.startswith("The variable ERLLAMA_CACHE_RAM sets nothing; the nearest is ERLLAMA_CACHE_RAM_BYTES")
    assert shown(run).warnings == [done.stderr.strip()]


def test_what_a_running_daemon_has_otherwise_is_marked(run: Run, fake: FakeDaemon) -> None:
    configure('[cache]\nram_bytes = "1024 MiB"\n[run]\ntop_k = 1\n[aliases]\na = "demo"\n')
    fake.settings = daemon_with('cache.ram_bytes = "1GiB"\naliases.b = "demo"\n', "load.ctx=512")
    config = shown(run)
    differing = {
        setting.key: setting.daemon and setting.daemon.written for setting in config.settings if setting.daemon
    }
    assert differing == {"load.ctx": "512", "aliases.a": None, "aliases.b": "demo"}
    said = run("config", "show").stdout
    assert "After a restart: the daemon that runs has 512 (option)." in said
    assert said.count("After a reload") == 2


def test_a_daemon_that_reads_another_file_is_not_compared(run: Run, fake: FakeDaemon) -> None:
    fake.settings = daemon_with("load.ctx = 512", path=Path("/else.toml"))
    config = shown(run)
    assert config.warnings == ["The daemon that runs reads another file: /else.toml."]
    assert key_of(config, "load.ctx").daemon is None


@pytest.mark.usefixtures("fake")
def test_a_daemon_that_does_not_tell_what_it_has_is_no_matter(run: Run) -> None:
    assert run("config", "show").exit_code == 0


def test_get_prints_the_bare_value(run: Run) -> None:
    configure('[cache]\nram_bytes = "1 GiB"\n[load]\nmmap = false\n')
    assert run("config", "get", "cache.ram_bytes").stdout == "1 GiB\n"
    assert run("config", "get", "load.mmap", "--origin").stdout == "false\tfile, line 4\n"
    assert run("config", "get", "load.keep_alive", "--origin").stdout == "30m\tdefault\n"
    found = msgspec.json.decode(run("config", "get", "cache.ram_bytes", "--json").stdout, type=Setting)
    assert (found.value, found.origin, found.line) == (1 << 30, "file", 2)


def test_a_key_without_a_value_ends_with_1_and_one_that_is_none_with_2(run: Run) -> None:
    done = run("config", "get", "run.model")
    assert (done.exit_code, done.stdout) == (EXIT_FAILED, "")
    assert done.stderr.startswith("erllama: run.model is not set; its default is none.\n")
    done = run("config", "get", "cache.ram_byte")
    assert (done.exit_code, done.stdout) == (EXIT_USAGE, "")
    assert "cache.ram_byte: there is no such key; the nearest is cache.ram_bytes." in done.stderr
    assert run("config", "get", "cache").exit_code == EXIT_USAGE


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cache.ram_bytes", "2 GiB"),
        ("cache.ram_bytes", "0"),
        ("load.gpu_layers", "-1"),
        ("load.mmap", "false"),
        ("load.keep_alive", "forever"),
        ("run.temperature", "0.25"),
        ("run.system", 'Say "no" \\ é 🦙\n# twice'),
        ("run.system", "7"),
        ("aliases.qwen3:4b", "/models/q.gguf"),
        ("models./home/me/a b.gguf.load.ctx", "4096"),
        ('models."/home/me/a.gguf".policy.min_tokens', "3"),
    ],
)
def test_what_is_set_is_what_get_prints(run: Run, key: str, value: str) -> None:
    configure(FILE)
    assert run("config", "set", key, value).exit_code == 0
    assert run("config", "get", key).stdout == f"{value}\n"
    text = user_directories().config_file.read_text()
    assert text.startswith("# mine\n")
    assert "# why" in text
    assert run("config", "unset", key).exit_code == 0
    assert key_of(shown(run), "daemon.log_files").origin == "default"
    assert run("config", "get", key, "--origin").stdout.partition("\t")[2] in ("", "default\n")


def test_a_list_is_set_as_an_array_of_toml_or_with_commas(run: Run) -> None:
    key, file = "daemon.http_cors_origins", user_directories().config_file
    assert run("config", "set", key, '["https://my.page", "http://b:1"]').exit_code == 0
    assert file.read_text() == '[daemon]\nhttp_cors_origins = ["https://my.page", "http://b:1"]\n'
    assert run("config", "get", key).stdout == "https://my.page,http://b:1\n"
    assert run("config", "set", key, "https://my.page").exit_code == 0
    assert run("config", "set", key, "garbage xx").exit_code == EXIT_USAGE
    assert run("config", "get", key).stdout == "https://my.page\n"


def test_a_new_file_is_its_owners_alone(run: Run) -> None:
    done = run("config", "set", "run.model", "demo")
    assert done.stdout == f"run.model is demo, in {user_directories().config_file}\n"
    file = user_directories().config_file
    assert (file.read_text(), file.stat().st_mode & 0o777) == ('[run]\nmodel = "demo"\n', 0o600)
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert list(file.parent.iterdir()) == [file]


def test_a_byte_order_mark_keeps_no_key_from_being_set(run: Run) -> None:
    user_directories().config.mkdir(parents=True)
    user_directories().config_file.write_bytes(b"\xef\xbb\xbf[run]\ntop_k = 1\n")
    assert run("config", "set", "run.top_k", "2").exit_code == 0
    assert user_directories().config_file.read_bytes() == b"[run]\ntop_k = 2\n"


def test_the_mode_of_the_file_stays_and_a_link_is_written_through(run: Run, tmp_path: Path) -> None:
    dotfile = tmp_path / "dotfiles" / "erllama.toml"
    dotfile.parent.mkdir()
    dotfile.write_text("# mine\n")
    dotfile.chmod(0o644)
    file = user_directories().config_file
    file.parent.mkdir()
    file.symlink_to(dotfile)
    assert run("config", "set", "load.ctx", "512").exit_code == 0
    assert file.is_symlink()
    assert (dotfile.read_text(), dotfile.stat().st_mode & 0o777) == ("# mine\n\n[load]\nctx = 512\n", 0o644)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["set", "load.ctx", "0"], "load.ctx takes a whole number from 1 to 16777216, such as 8192, not 0."),
        (["set", "laod.ctx", "1"], "laod.ctx: there is no such key; the nearest is load.ctx."),
        (["set", "load", "1"], "load is a table; name a key in it."),
        (["set", "models.x.gguf.load.ctx", "1"], 'models."x.gguf".load.ctx: the path of a model must be absolute.'),
        (["set", "a..b", "1"], "'a..b' is no key."),
        (["unset", "cache.ram"], "cache.ram: there is no such key; the nearest is cache.ram_bytes."),
    ],
)
def test_what_is_refused_changes_nothing(run: Run, words: Sequence[str], problem: str) -> None:
    file = configure(FILE)
    done = run("config", *words)
    assert done.exit_code == EXIT_USAGE
    assert done.stderr.startswith(f"erllama: {problem}\n")
    assert file.read_text() == FILE


def test_a_key_below_what_is_no_table_is_not_written(run: Run) -> None:
    file = configure("load = 3\n")
    done = run("config", "set", "load.ctx", "512", "--json")
    assert (done.exit_code, msgspec.json.decode(done.stdout)["error"]["code"]) == (EXIT_FAILED, "config_unchangeable")
    assert file.read_text() == "load = 3\n"


def test_a_text_that_looks_like_an_option_is_a_value_only_after_two_hyphens(run: Run) -> None:
    assert run("config", "set", "run.system", "--jsno").exit_code == EXIT_USAGE
    assert run("config", "set", "-q", "--", "run.system", "--jsno").exit_code == 0
    assert run("config", "set", "load.gpu_layers", "-1", "-q").exit_code == 0
    assert user_directories().config_file.read_text() == '[run]\nsystem = "--jsno"\n\n[load]\ngpu_layers = -1\n'


def test_a_file_that_would_not_be_valid_is_not_written(run: Run) -> None:
    text = 'aliases = { a = "demo" }\n'
    file = configure(text)
    done = run("config", "set", "aliases.b", "a")
    assert done.exit_code == EXIT_USAGE
    assert "aliases.b: a is an alias itself" in done.stderr
    file.write_text("[cache\n")
    done = run("config", "set", "load.ctx", "1")
    assert done.exit_code == EXIT_USAGE
    assert "is not valid: line 1" in done.stderr
    assert file.read_text() == "[cache\n"


def test_a_wrong_key_can_be_taken_out(run: Run) -> None:
    file = configure("[cache]\ndisk_bites = 1 # oh\nram_bytes = 1\n")
    assert run("config", "show").exit_code == EXIT_USAGE
    assert run("config", "unset", "cache.disk_bites").stdout == "cache.disk_bites is gone\n"
    assert file.read_text() == "[cache]\nram_bytes = 1\n"
    assert run("config", "unset", "cache.disk_bytes").stdout == (
        "cache.disk_bytes is 1/10 of free disk, at most 20 GiB, by default, as before\n"
    )


def test_a_key_that_the_environment_sets_otherwise_is_told_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERLLAMA_LOAD_CTX", "9")
    assert run("config", "set", "load.ctx", "7").stdout == "load.ctx is 9, as ERLLAMA_LOAD_CTX says\n"


@pytest.mark.usefixtures("fake")
def test_who_sets_a_key_hears_when_the_daemon_takes_it(run: Run) -> None:
    changed = run("config", "set", "load.ctx", "7", "--json").stdout
    found = msgspec.json.decode(changed, type=ChangedConfig)
    assert (found.changed, found.daemon) == (True, "after_restart")
    done = run("config", "set", "load.ctx", "8")
    assert done.stderr == "The daemon that runs takes it after: erllama daemon restart\n"
    assert run("config", "set", "load.ctx", "8").stderr == ""
    assert run("config", "set", "run.top_k", "8").stderr == ""


def test_no_change_is_lost_when_many_come_at_once(run: Run) -> None:
    keys = ["load.ctx", "load.threads", "load.parallel", "run.top_k", "run.max_tokens", "policy.min_tokens"]
    barrier, directories = threading.Barrier(len(keys)), user_directories()

    def set_one(key: str) -> None:
        from erllama_cli.config.key import known_key

        barrier.wait()
        change.set_key(directories, *known_key(key), "7")

    with ThreadPoolExecutor(len(keys)) as pool:
        list(pool.map(set_one, keys))
    assert {key: key_of(shown(run), key).value for key in keys} == dict.fromkeys(keys, 7)


def test_what_an_editor_saves_meanwhile_is_kept_too() -> None:
    file = configure("")

    def slow(text: str) -> str:
        if "load" not in text:
            file.write_text("load.ctx = 5\n")  # somebody else, who knows of no lock
        return f"{text}run.top_k = 1\n"

    assert change.rewrite(user_directories(), slow)
    assert file.read_text() == "load.ctx = 5\nrun.top_k = 1\n"


def test_keys_are_completed_also_beside_a_file_that_is_not_valid() -> None:
    file = configure('aliases.mine = "demo"')
    assert [key for key, _ in complete_config_key("cache.")] == [
        "cache.ram_bytes",
        "cache.disk_bytes",
        "cache.write_bytes_per_day",
    ]
    assert [key for key, _ in complete_config_key("al")] == ["aliases.mine"]
    assert [key for key, _ in complete_setting("run.m")] == ["run.model=", "run.max_tokens=", "run.min_p="]
    assert complete_setting("run.model=d") == []
    file.write_text("[")
    assert [key for key, _ in complete_config_key("cache.r")] == ["cache.ram_bytes"]


EDITOR = """\
import pathlib, sys
steps = pathlib.Path(sys.argv[1])
draft = pathlib.Path(sys.argv[2])
first, _, rest = steps.read_text().partition("---\\n")
steps.write_text(rest)
(steps.parent / "seen").write_text(draft.read_text())
if first == "fail":
    sys.exit(3)
if first != "same":
    draft.write_text(first)
"""


class Editing:
    """`config edit` at a terminal, with an editor that writes one text after the other."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, terminals: list[Terminal]) -> None:
        (folder / "editor.py").write_text(EDITOR)
        self._steps, self._terminals = folder / "steps", terminals
        self.seen = folder / "seen"
        monkeypatch.setenv("EDITOR", f"'{sys.executable}' {folder / 'editor.py'} {self._steps}")
        monkeypatch.delenv("VISUAL", raising=False)

    def __call__(self, *texts: str) -> Terminal:
        self._steps.write_text("---\n".join(texts))
        self._terminals.append(Terminal("config", "edit"))
        return self._terminals[-1]


@pytest.fixture
def editing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminals: list[Terminal]) -> Editing:
    return Editing(tmp_path, monkeypatch, terminals)


def test_edit_begins_with_every_key_as_a_comment_and_keeps_what_is_valid(editing: Editing) -> None:
    code, said = editing("load.ctx = 5\n").rest()
    assert (code, said.strip()) == (0, "changed")
    file = user_directories().config_file
    assert file.read_text() == "load.ctx = 5\n"
    assert '# ram_bytes = "2 GiB"' in editing.seen.read_text()
    assert list(file.parent.iterdir()) == [file]


def test_edit_asks_again_until_it_is_valid(editing: Editing) -> None:
    file = configure("# old\n")
    window = editing("load.ctx = 0\n", "load.ctx = 1\n")
    window.await_text("line 1: load.ctx takes a whole number")
    window.await_text("Edit it again? [Y/n]")
    window.type("\n")
    code, said = window.rest()
    assert (code, said.strip()) == (0, "changed")
    assert editing.seen.read_text() == "load.ctx = 0\n"
    assert file.read_text() == "load.ctx = 1\n"


def test_who_does_not_want_to_mend_the_draft_finds_it_where_it_is_said_to_be(editing: Editing) -> None:
    file = configure("# old\n")
    window = editing("load.ctx = 0\n")
    window.await_text("Edit it again? [Y/n]")
    window.type("n\n")
    code, said = window.rest()
    assert code == EXIT_USAGE
    draft = Path(said.partition("Your draft is kept: ")[2].strip())
    assert draft.read_text() == "load.ctx = 0\n"
    assert file.read_text() == "# old\n"


@pytest.mark.parametrize(("step", "code", "told"), [("same", 0, "nothing has changed"), ("fail", 1, "it ended with 3")])
def test_an_editor_that_writes_nothing_changes_nothing(editing: Editing, step: str, code: int, told: str) -> None:
    file = configure("[cache\n")
    ended, said = editing(step).rest()
    assert ended == code
    assert told in said
    assert file.read_text() == "[cache\n"
    assert list(file.parent.iterdir()) == [file]


def test_edit_without_a_terminal_is_wrong_usage(run: Run) -> None:
    done = run("config", "edit")
    assert done.exit_code == EXIT_USAGE
    assert "needs a terminal" in done.stderr
