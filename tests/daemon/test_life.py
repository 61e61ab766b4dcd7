"""How a daemon changes and ends: by signals, by requests, by itself, and with whatever socket."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
from pathlib import Path

import pytest
from daemon.living import listening, living, notifications, signalled, until

from erllama_cache.policy import PolicyKnobs
from erllama_daemon.config import ByteSize, CacheConfig, Config, DaemonConfig, LoadConfig, ModelConfig, RunConfig, Span
from erllama_daemon.directories import user_directories
from erllama_daemon.errors import (
    ConfigInvalid,
    DaemonAlreadyRuns,
    DaemonLocked,
    DaemonUnreachable,
    ListenerUnusable,
    SessionsInUse,
    SocketPathTooLong,
)
from erllama_daemon.life import drain, idle, listener
from erllama_daemon.life.drain import longest_s
from erllama_daemon.life.idle import IdleWatch
from erllama_daemon.life.listener import bind, given_listener, prepare_folder
from erllama_daemon.life.locks import only_daemon
from erllama_daemon.life.reload import differences
from erllama_daemon.models import worker_process

HURRIED = Config(policy=PolicyKnobs(evict_save_timeout_ms=1))
FOREVER_S = 1e9


def test_a_signal_has_answers_cancelled_and_kept_and_models_saved_and_leaves_nothing() -> None:
    async def story() -> None:
        async with living() as alive:
            model = alive.model()
            asked = alive.say(model, "hang")
            await until(lambda: bool(alive.seen(model, "Generate")))
            signalled(signal.SIGTERM)
            events = await asked
            assert (events[-1]["event"], events[-1]["stats"]["cancelled"]) == ("done", True)
            await alive.end
            assert len(alive.seen(model, "Shutdown")) == 1
            assert not alive.directories.socket.exists()

    asyncio.run(asyncio.wait_for(story(), 60))


def test_a_worker_that_never_answers_holds_up_the_end_no_longer_than_is_set(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(drain, "ANSWERS_S", 0.05)
    monkeypatch.setattr(worker_process, "STOP_GRACE_S", 0.05)

    async def story() -> None:
        async with living(HURRIED) as alive:
            model = alive.model(stop_gate="/nowhere")
            asked = alive.say(model, "deaf")
            await until(lambda: bool(alive.seen(model, "Generate")))
            signalled(signal.SIGTERM)
            assert (await asked)[-1]["code"] == "answer_cut_off"
            await alive.end

    asyncio.run(asyncio.wait_for(story(), 20))
    assert "answers do not end: answers=1" in caplog.text
    assert "killed by SIGKILL" in caplog.text


def test_while_it_drains_it_says_so_and_takes_no_requests_and_a_second_signal_ends_it_at_once() -> None:
    async def story() -> None:
        async with living() as alive:
            model = alive.model(stop_gate="/nowhere")
            asked = alive.say(model, "deaf")
            await until(lambda: bool(alive.seen(model, "Generate")))
            signalled(signal.SIGTERM)
            while not (await alive.status())["draining"]:
                pass
            assert (await alive.say(model, "Hello"))[:2] == [
                503,
                {
                    "event": "error",
                    "code": "daemon_stopping",
                    "message": "The daemon is stopping and takes no new requests.",
                    "hint": "Ask again once it has ended.",
                    "exit_code": 4,
                },
            ]
            assert await alive.ask("POST", "/v1/cancel/1") == [202]
            signalled(signal.SIGINT)
            assert (await asked)[-1]["code"] == "answer_cut_off"
            await alive.end
            assert not alive.directories.socket.exists()

    asyncio.run(asyncio.wait_for(story(), 20))


def test_who_asks_for_the_end_again_over_http_does_not_hurry_it() -> None:
    async def story() -> None:
        async with living() as alive:
            gate = alive.directories.runtime / "gate"
            model = alive.model(stop_gate=str(gate))
            await alive.say(model, "Hello")
            assert [await alive.ask("POST", "/v1/stop") for _ in range(2)] == [[202], [202]]
            await until(lambda: bool(alive.seen(model, "Shutdown")))
            assert not alive.end.done()
            gate.touch()
            await alive.end

    asyncio.run(asyncio.wait_for(story(), 20))


def test_a_longer_time_to_save_is_a_longer_time_to_end() -> None:
    model = ModelConfig(policy=PolicyKnobs(evict_save_timeout_ms=90_000))
    assert longest_s(Config()) == 30 + drain.GRACE_S
    assert longest_s(Config(models={"demo": model})) == 90 + drain.GRACE_S


def test_the_configuration_is_read_again_and_taken_on_at_once() -> None:
    async def story() -> None:
        async with living() as alive:
            model = alive.model()
            await alive.say(model, "Hello")
            alive.config = Config(
                cache=CacheConfig(ram_bytes=ByteSize(8), disk_bytes=ByteSize(9)),
                daemon=DaemonConfig(idle_exit=Span(60)),
                load=LoadConfig(ctx=512),
                policy=PolicyKnobs(min_tokens=7),
                run=RunConfig(top_k=1),
            )
            (status, told) = await alive.ask("POST", "/v1/reload")
            changed = ["cache.disk_bytes", "cache.ram_bytes", "daemon.idle_exit", "load.ctx", "policy.min_tokens"]
            assert (status, told) == (200, {"changed": changed, "after_restart": []})
            await until(lambda: bool(alive.seen(model, "DiskQuota")))
            assert alive.seen(model, "RamQuota")[-1]["bytes"] == 8
            assert alive.seen(model, "DiskQuota")[-1]["disk_bytes"] == 9
            found = await alive.status()
            assert (found["idle_exit_s"], found["quotas"]["disk_bytes"]) == (60, 9)
            await alive.ask("POST", "/v1/models/unload", {"model": model})
            await alive.say(model, "Hello")
            assert alive.seen(model, "Configure")[-1]["policy"]["min_tokens"] == 7
            assert alive.seen(model, "Configure")[-1]["context_size"] == 512

    asyncio.run(asyncio.wait_for(story(), 20))


def test_a_hang_up_reads_the_configuration_and_one_that_is_not_valid_changes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = "the configuration stays as it was: The configuration config.toml is not valid"

    async def story() -> None:
        async with living() as alive:
            alive.config = Config(daemon=DaemonConfig(idle_exit=Span(60)))
            signalled(signal.SIGHUP)
            while (await alive.status())["idle_exit_s"] != 60:
                pass
            alive.config = ConfigInvalid.of(Path("config.toml"), ["line 2"])
            assert (await alive.ask("POST", "/v1/reload"))[1]["code"] == "config_invalid"
            signalled(signal.SIGHUP)
            await until(lambda: caplog.text.count(told) == 2)
            assert (await alive.status())["idle_exit_s"] == 60

    asyncio.run(asyncio.wait_for(story(), 20))


def test_what_differs_between_two_configurations_is_named_by_its_keys() -> None:
    models = {"demo": ModelConfig(policy=PolicyKnobs(min_tokens=3)), "/a b.gguf": ModelConfig()}
    found = differences(Config(aliases={"x": "/y"}), Config(models=models))
    assert found.changed[0] == "aliases.x"
    assert "models.demo.policy.min_tokens" in found.changed
    assert 'models."/a b.gguf".policy.min_tokens' in found.changed
    assert found.after_restart == []


def test_a_daemon_leaves_when_nothing_was_asked_and_nothing_keeps_it() -> None:
    idle_s, needed, left, slept = 59.0, False, list[float](), list[float]()

    async def sleep(seconds: float) -> None:
        nonlocal idle_s, needed
        slept.append(seconds)
        idle_s, needed = [(59, False), (60, True), (0, False), (60, False), (61, False)][len(slept) - 1]

    async def leave() -> bool:
        left.append(idle_s)
        return len(left) == 2

    watch = IdleWatch(
        60, idle_s=lambda: idle_s, is_needed=lambda: needed, is_lost=lambda: False, leave=leave, abandon=lambda: None,
        sleep=sleep,
    )  # fmt: skip
    asyncio.run(watch.run())
    assert (left, slept) == ([60, 61], [idle.WATCH_PERIOD_S] * 5)
    watch.limit_s = None
    assert not watch.is_due


def test_a_socket_that_cannot_be_hidden_leaves_the_daemon_to_try_again(caplog: pytest.LogCaptureFixture) -> None:
    tries = iter([PermissionError(13, "Permission denied"), None])

    async def leave() -> bool:
        if (error := next(tries)) is not None:
            raise error
        return True

    async def sleep(_seconds: float) -> None:
        return

    watch = IdleWatch(
        60, idle_s=lambda: 60, is_needed=lambda: False, is_lost=lambda: False, leave=leave, abandon=lambda: None,
        sleep=sleep,
    )  # fmt: skip
    asyncio.run(watch.run())
    assert "the daemon cannot leave: [Errno 13] Permission denied" in caplog.text


def test_a_socket_that_cannot_be_removed_holds_up_no_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unlink(_path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, f"Permission denied, {missing_ok}")

    async def story() -> None:
        async with living() as alive:
            with monkeypatch.context() as denied:
                denied.setattr(Path, "unlink", unlink)
                await alive.ask("POST", "/v1/stop")
                await alive.end
        alive.listener.remove()

    asyncio.run(asyncio.wait_for(story(), 20))
    assert "the socket is left behind: [Errno 13] Permission denied" in caplog.text
    assert not user_directories().socket.exists()


def impatient(monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setattr(idle, "WATCH_PERIOD_S", 0.001)
    return Config(daemon=DaemonConfig(idle_exit=Span(0.001)))


def test_an_idle_daemon_stays_for_a_model_for_a_private_conversation_and_for_whoever_is_at_the_door(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = impatient(monkeypatch)

    async def story() -> None:
        async with living(Config()) as alive:
            model = alive.model()
            await alive.say(model, "Hello")
            session = (await alive.ask("POST", "/v1/sessions", {"model": model, "private": True}))[1]["id"]
            alive.config = config
            await alive.ask("POST", "/v1/reload")
            await until_watched()
            await alive.ask("POST", "/v1/models/unload", {"model": model})
            await until_watched()
            reader, writer = await asyncio.open_unix_connection(alive.directories.socket)
            await alive.ask("DELETE", f"/v1/sessions/{session}")
            await until_watched()
            assert not alive.end.done()
            writer.write(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.close()
            await alive.end
            assert not list(alive.directories.runtime.glob("daemon.sock*"))

    watched = 0
    is_due = IdleWatch.is_due

    def counted(watch: IdleWatch) -> bool:
        nonlocal watched
        watched += 1
        return is_due.fget(watch)  # type: ignore[attr-defined,no-any-return]

    monkeypatch.setattr(IdleWatch, "is_due", property(counted))

    async def until_watched() -> None:
        seen = watched
        await until(lambda: watched > seen + 2)

    asyncio.run(asyncio.wait_for(story(), 20))


def test_a_daemon_that_nobody_can_reach_any_more_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    impatient(monkeypatch)

    async def story() -> None:
        async with living() as alive:
            alive.directories.socket.unlink()
            other = listening(alive.directories.socket)
            await alive.end
            other.close()
            assert alive.directories.socket.exists()

    asyncio.run(asyncio.wait_for(story(), 20))


def test_a_socket_that_was_given_stays_and_who_comes_too_late_waits_in_it() -> None:
    directories = user_directories()
    prepare_folder(directories)
    notify = directories.runtime / "notify"

    async def story(made: socket.socket, told: socket.socket) -> None:
        async with living(given=made.dup(), notify=str(notify)) as alive:
            assert told.recv(999) == b"READY=1"
            await alive.ask("POST", "/v1/reload")
            assert told.recv(999).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert told.recv(999) == b"READY=1"
            gate = directories.runtime / "gate"
            model = alive.model(stop_gate=str(gate))
            await alive.say(model, "Hello")
            signalled(signal.SIGTERM)
            await until(lambda: bool(alive.seen(model, "Shutdown")))
            assert told.recv(999).startswith(b"STOPPING=1\nEXTEND_TIMEOUT_USEC=")
            late = asyncio.create_task(alive.status())
            await until(lambda: has_guest(made))
            gate.touch()
            await alive.end
        async with living(given=made.dup()):
            assert (await late)["socket"] == str(directories.socket)

    with listening(directories.socket) as made, notifications(notify) as told:
        asyncio.run(asyncio.wait_for(story(made, told), 20))
        assert directories.socket.exists()


def has_guest(made: socket.socket) -> bool:
    return bool(select.select([made], [], [], 0)[0])


def test_only_one_daemon_has_a_socket_and_only_one_the_conversations(monkeypatch: pytest.MonkeyPatch) -> None:
    directories = user_directories()
    with only_daemon(directories, is_activated=False, patience_s=0):
        patient = only_daemon(directories, is_activated=False, patience_s=FOREVER_S)
        with listening(directories.socket), pytest.raises(DaemonAlreadyRuns), patient:
            pass
        for is_activated in (False, True):
            with pytest.raises(DaemonLocked), only_daemon(directories, is_activated=is_activated, patience_s=0):
                pass
        monkeypatch.setenv("ERLLAMA_SOCKET", str(directories.runtime / "other.sock"))
        with pytest.raises(SessionsInUse), only_daemon(user_directories(), is_activated=False, patience_s=FOREVER_S):
            pass
        monkeypatch.setenv("XDG_DATA_HOME", str(directories.runtime / "data"))
        with only_daemon(user_directories(), is_activated=False, patience_s=0):
            pass
    with only_daemon(directories, is_activated=False, patience_s=0):
        pass


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"LISTEN_FDS": "2"}, "one socket is expected, and there are 2"),
        ({}, "one socket is expected, and there are none"),
    ],
)
def test_what_is_no_one_socket_is_refused(environment: dict[str, str], reason: str) -> None:
    environment["LISTEN_PID"] = str(os.getpid())
    with pytest.raises(ListenerUnusable, match=reason):
        given_listener(environment)
    assert environment == {}


def test_a_socket_that_is_announced_and_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    free = os.dup(0)
    os.close(free)
    monkeypatch.setattr(listener, "_FIRST_GIVEN", free)
    with pytest.raises(ListenerUnusable, match="bad file descriptor"):
        given_listener({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"})


def test_a_socket_that_is_meant_for_another_process_is_not_taken() -> None:
    assert given_listener({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) is None
    assert given_listener({}) is None


@pytest.mark.parametrize(
    ("given", "meant"),
    [("/a/b", "/a/b"), ("~/e.sock", "{home}/e.sock"), ("e.sock", "{here}/e.sock"), ("", "{runtime}/daemon.sock")],
)
def test_erllama_socket_is_where_the_socket_is(monkeypatch: pytest.MonkeyPatch, given: str, meant: str) -> None:
    runtime = user_directories().runtime
    monkeypatch.setenv("ERLLAMA_SOCKET", given)
    directories = user_directories()
    assert str(directories.socket) == meant.format(home=Path.home(), here=Path.cwd(), runtime=runtime)
    assert directories.lock.parent == directories.start_lock.parent == directories.socket.parent


def test_a_folder_that_the_user_named_for_the_socket_keeps_its_mode(
    monkeypatch: pytest.MonkeyPatch, user_home: Path
) -> None:
    folder = user_home / "s"
    folder.mkdir(mode=0o755)
    monkeypatch.setenv("ERLLAMA_SOCKET", str(folder / "e.sock"))
    directories = user_directories()
    prepare_folder(directories)
    made = bind(directories)
    assert (folder.stat().st_mode & 0o777, made.path.stat().st_mode & 0o777) == (0o755, 0o600)
    made.socket.close()
    made.remove()
    assert not list(folder.iterdir())
    monkeypatch.setenv("ERLLAMA_SOCKET", str(folder / ("e" * 100)))
    with pytest.raises(SocketPathTooLong, match="a Unix socket allows 107"):
        bind(user_directories())


def test_a_file_that_is_no_socket_is_never_removed_for_one(monkeypatch: pytest.MonkeyPatch, user_home: Path) -> None:
    notes = user_home / "notes.txt"
    notes.write_text("dear")
    monkeypatch.setenv("ERLLAMA_SOCKET", str(notes))
    with pytest.raises(DaemonUnreachable, match="what is there is no socket"):
        bind(user_directories())
    assert notes.read_text() == "dear"
