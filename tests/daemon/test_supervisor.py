from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
from pathlib import Path

import pytest
from daemon.house import GIB, House, Tell, failure_of, generate, settle, until

from erllama_cache.policy import PolicyKnobs
from erllama_daemon import frames
from erllama_daemon.config import Config, Duration, LoadConfig, ModelConfig
from erllama_daemon.errors import AnswerCutOff, RequestKillsWorker, WorkerDied
from erllama_daemon.messages import Evicted, Forgotten, Message, ModelOptions, RemoteError
from erllama_daemon.models import supervisor, worker_process
from erllama_daemon.models.deaths import Deaths


def test_one_worker_serves_all_requests_to_a_file_and_links_to_it(tell: Tell) -> None:
    async def story(house: House) -> None:
        path = house.model()
        link = house.folder / "link.gguf"
        link.symlink_to(path)
        pids = await asyncio.gather(house.touch(path), house.touch(path), house.touch(link))
        assert len(set(pids)) == 1
        assert await house.touch(house.model("b")) != pids[0]
        assert await house.loaded() == ["a", "b"]

    tell(story)


def test_progress_of_a_load_is_told_and_a_loaded_model_tells_none(tell: Tell) -> None:
    async def story(house: House) -> None:
        path, told = house.model(), []  # type: ignore[var-annotated]
        for _ in range(2):
            lease = await house.supervisor.acquire("a", path, on_loading=told.append)
            lease.release()
        assert told == [0.0, 0.5]

    tell(story)


def test_the_status_tells_the_effective_fingerprint_and_the_expiry(tell: Tell) -> None:
    async def story(house: House) -> None:
        lease = await house.acquire(house.model(), parallel=2, keep_alive_s=100)
        (busy,) = await house.supervisor.statuses()
        assert (busy.idle_s, busy.expires_s, busy.parallel, busy.status) == (0.0, 100.0, 2, "idle")
        assert busy.fingerprint == "e" * 64
        lease.release()
        house.now += 30
        (idle,) = await house.supervisor.statuses()
        assert (idle.idle_s, idle.expires_s) == (30.0, 70.0)
        await house.touch(house.model(), keep_alive_s=-1)
        (kept,) = await house.supervisor.statuses()
        assert kept.expires_s is None

    tell(story)


def test_the_default_keep_alive_is_half_an_hour(tell: Tell) -> None:
    async def story(house: House) -> None:
        await house.touch(house.model())
        (row,) = await house.supervisor.statuses()
        assert row.expires_s == 1800.0

    tell(story)


def test_options_reach_the_worker_and_the_same_or_none_keep_it(tell: Tell) -> None:
    async def story(house: House) -> None:
        path = house.model()
        pid = await house.touch(path, context_size=2048, kv_type="q8_0", threads=3, mmap=False)
        assert await house.touch(path) == pid
        assert await house.touch(path, kv_type="q8_0", context_size=2048) == pid
        (configure,) = house.seen(path, "Configure")
        wanted = {"context_size": 2048, "kv_type": "q8_0", "threads": 3, "mmap": False, "parallel": 4}
        assert wanted.items() <= configure.items()

    tell(story)


def test_another_fingerprint_replaces_the_worker_and_safe_is_the_default(tell: Tell) -> None:
    async def story(house: House) -> None:
        path, given = house.model(), {"fingerprint_mode": "fast_unsafe", "fingerprint": "ab" * 32}
        pids = [await house.touch(path), await house.touch(path, fingerprint_mode="safe")]
        assert pids[0] == pids[1]
        pids += [await house.touch(path, **given), await house.touch(path), await house.touch(path, **given)]
        assert pids[1] != pids[2] == pids[3] == pids[4]
        assert await house.touch(path, fingerprint_mode="fast_unsafe", fingerprint="cd" * 32) != pids[4]
        assert [(each["fingerprint_mode"], each["fingerprint"]) for each in house.seen(path, "Configure")] == [
            ("safe", None),
            ("fast_unsafe", "ab" * 32),
            ("fast_unsafe", "cd" * 32),
        ]

    tell(story)


def test_a_context_that_is_what_the_model_got_by_itself_does_not_replace_it(tell: Tell) -> None:
    async def story(house: House) -> None:
        path = house.model(context_size=4096)
        assert await house.touch(path) == await house.touch(path, context_size=4096)

    tell(story)


def test_other_options_replace_the_worker_once_it_is_idle_and_keep_the_rest(tell: Tell) -> None:
    async def story(house: House) -> None:
        path = house.model()
        first = await house.acquire(path, kv_type="q8_0")
        replacement = asyncio.create_task(house.acquire(path, context_size=512))
        await settle()
        assert not replacement.done()
        assert not house.seen(path, "Shutdown")
        first.release()
        second = await replacement
        assert second.worker.pid != first.worker.pid
        configure = house.seen(path, "Configure")[-1]
        assert (configure["context_size"], configure["kv_type"]) == (512, "q8_0")
        second.release()

    tell(story)


def test_requests_for_the_loaded_worker_go_on_but_do_not_starve_a_replacement(tell: Tell) -> None:
    async def story(house: House) -> None:
        path = house.model()
        first = await house.acquire(path)
        replacement = asyncio.create_task(house.acquire(path, context_size=512))
        await settle()
        beside = await house.acquire(path)
        assert beside.worker is first.worker
        first.release()
        # What the replacement waited for is done: who comes now waits for it.
        late = asyncio.create_task(house.acquire(path))
        await settle()
        assert not late.done()
        assert not replacement.done()
        beside.release()
        new = await replacement
        assert (await late).worker is new.worker

    tell(story)


def test_a_replacement_that_nobody_waits_for_any_more_does_not_happen(tell: Tell) -> None:
    async def story(house: House) -> None:
        path = house.model()
        first = await house.acquire(path)
        replacement = asyncio.create_task(house.acquire(path, context_size=512))
        await settle()
        replacement.cancel()
        await settle()
        first.release()
        assert await house.touch(path) == first.worker.pid

    tell(story)


def test_a_load_that_nobody_waits_for_any_more_leaves_an_idle_model(tell: Tell) -> None:
    async def story(house: House) -> None:
        gate = house.folder / "gate"
        path = house.model(load_gate=str(gate))
        waiting = asyncio.create_task(house.acquire(path))
        await until(lambda: bool(house.seen(path, "Configure")))
        waiting.cancel()
        gate.touch()
        pid = await house.touch(path)
        (row,) = await house.supervisor.statuses()
        assert (row.pid, row.expires_s) == (pid, 1800.0)

    tell(story)


def test_cancelling_at_any_step_of_a_load_leaks_neither_lease_nor_worker(tell: Tell) -> None:
    async def story(house: House) -> None:
        path = house.model()
        for steps in range(12):
            waiting = asyncio.create_task(house.acquire(path, context_size=512 + steps))
            for _ in range(steps):
                await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait((waiting,))
        await house.supervisor.unload(path)
        assert await house.loaded() == []

    tell(story)


def test_keep_alive_of_zero_unloads_at_once_and_forgets_the_options(tell: Tell) -> None:
    async def story(house: House) -> None:
        path = house.model()
        lease = await house.acquire(path, keep_alive_s=0, context_size=512)
        other = await house.acquire(path)
        lease.release()
        await settle()
        assert not other.worker.is_stopping
        other.release()
        await until(lambda: other.worker.is_stopping)
        await other.worker.stop("asked")
        assert await house.loaded() == []
        assert len(house.seen(path, "Shutdown")) == 1
        await house.touch(path)
        assert house.seen(path, "Configure")[-1]["context_size"] is None
        (row,) = await house.supervisor.statuses()
        assert row.expires_s == 1800.0

    tell(story)


def test_a_request_that_arrives_while_its_worker_expires_is_served_by_a_new_one(tell: Tell) -> None:
    async def story(house: House) -> None:
        gate = house.folder / "gate"
        path = house.model(stop_gate=str(gate))
        old = await house.acquire(path, keep_alive_s=0)
        old.release()
        await until(lambda: bool(house.seen(path, "Shutdown")))
        answer = asyncio.create_task(house.say(path, "hello"))
        await settle()
        gate.touch()
        frame = await answer
        assert isinstance(frame, frames.Finished)
        assert frame.stats.text == "hello"
        assert len(house.seen(path, "Configure")) == 2

    tell(story)


def test_a_request_that_arrives_just_before_the_expiry_prevents_it(tell: Tell) -> None:
    async def story(house: House) -> None:
        path = house.model()
        old = await house.acquire(path, keep_alive_s=0)
        old.release()
        again = await house.acquire(path)
        await settle()
        assert again.worker is old.worker
        assert not again.worker.is_stopping
        again.release()

    tell(story)


def test_unload_waits_for_requests_saves_and_is_idempotent(tell: Tell) -> None:
    async def story(house: House) -> None:
        path = house.model()
        assert not await house.supervisor.unload(path)
        lease = await house.acquire(path, context_size=512)
        unload = asyncio.create_task(house.supervisor.unload(path))
        await settle()
        assert not unload.done()
        lease.release()
        assert await unload
        assert len(house.seen(path, "Shutdown")) == 1
        assert await house.loaded() == []
        assert not await house.supervisor.unload(path)
        await house.touch(path)
        assert house.seen(path, "Configure")[-1]["context_size"] is None

    tell(story)


def test_unload_of_a_loading_model_waits_for_those_who_wait_for_it(tell: Tell) -> None:
    async def story(house: House) -> None:
        gate = house.folder / "gate"
        path = house.model(load_gate=str(gate))
        answer = asyncio.create_task(house.say(path, "hello"))
        await until(lambda: bool(house.seen(path, "Configure")))
        unload = asyncio.create_task(house.supervisor.unload(path))
        await settle()
        gate.touch()
        assert isinstance(await answer, frames.Finished)
        assert await unload
        assert await house.loaded() == []

    tell(story)


def test_unload_of_a_loading_model_that_nobody_waits_for_ends_it_at_once(tell: Tell) -> None:
    async def story(house: House) -> None:
        path = house.model(load_gate=str(house.folder / "never"))
        waiting = asyncio.create_task(house.acquire(path))
        await until(lambda: bool(house.seen(path, "Configure")))
        waiting.cancel()
        assert await house.supervisor.unload(path)
        assert await house.loaded() == []

    tell(story)


def test_a_call_loads_the_model_and_holds_it(tell: Tell) -> None:
    async def story(house: House) -> None:
        path = house.model()
        answer = await house.supervisor.call("a", path, frames.Tokenize(house.supervisor.next_id(), "hi", first=False))
        assert isinstance(answer, frames.Tokens)
        assert answer.pieces == ["h", "i"]
        (row,) = await house.supervisor.statuses()
        assert row.idle_s == 0.0

    tell(story)


def test_evict_saves_what_is_live_and_never_loads(tell: Tell) -> None:
    async def story(house: House) -> None:
        path = house.model()
        assert await house.supervisor.evict(path) == Evicted(0, 0)
        assert await house.loaded() == []
        await house.touch(path)
        assert await house.supervisor.evict(path) == Evicted(2, 1)

    tell(story)


def test_every_loaded_model_forgets_and_none_is_loaded_or_kept_for_that(tell: Tell) -> None:
    async def story(house: House) -> None:
        one, other, unloaded = (house.model(name) for name in ("a", "b", "c"))
        await house.touch(one)
        await house.touch(other)
        house.now += 30
        assert await house.supervisor.forget([b"k" * 32]) == Forgotten(2, 4)
        assert await house.supervisor.forget(None) == Forgotten(2, 4)
        assert [len(house.seen(path, "Forget")) for path in (one, other, unloaded)] == [2, 2, 0]
        assert [row.idle_s for row in await house.supervisor.statuses()] == [30.0, 30.0]

    tell(story)


def test_evict_is_no_use_of_the_model(tell: Tell) -> None:
    async def story(house: House) -> None:
        path = house.model()
        await house.touch(path)
        house.now += 30
        await house.supervisor.evict(path)
        (row,) = await house.supervisor.statuses()
        assert (row.idle_s, row.expires_s) == (30.0, 1770.0)
        house.now += 1770
        (worker,) = house.supervisor._workers()
        await house.supervisor.evict(path)
        await until(lambda: worker.is_stopping)

    tell(story)


def test_evict_beside_a_request_leaves_it_the_models_last_use(tell: Tell) -> None:
    async def story(house: House) -> None:
        path = house.model()
        lease = await house.acquire(path)
        eviction = asyncio.create_task(house.supervisor.evict(path))
        await settle()
        house.now += 30
        lease.release()
        await eviction
        (row,) = await house.supervisor.statuses()
        assert (row.idle_s, row.expires_s) == (0.0, 1800.0)

    tell(story)


def test_a_worker_has_as_long_to_end_as_its_policy_gives_its_last_saves(
    tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(house: House) -> None:
        policy = PolicyKnobs(evict_save_timeout_ms=90_000)
        patient = await house.acquire(house.model("a"), policy=policy)
        assert patient.worker.stop_timeout_s == 100.0
        patient.release()
        monkeypatch.setattr(worker_process, "STOP_GRACE_S", 0.0)
        path = house.model("b", stop_gate=str(house.folder / "never"))
        await house.touch(path, policy=PolicyKnobs(evict_save_timeout_ms=0))
        assert await house.supervisor.unload(path)
        assert await house.loaded() == ["a"]

    tell(story)


def test_the_policy_is_the_configurations_and_each_request_turns_its_own_knobs(tell: Tell, tmp_path: Path) -> None:
    async def story(house: House) -> None:
        path = house.model()

        def policy() -> dict[str, int]:
            policy: dict[str, int] = house.seen(path, "Configure")[-1]["policy"]
            return {name: policy[name] for name in ("min_tokens", "cold_min_tokens", "continued_interval")}

        pid = await house.touch(path)
        assert policy() == {"min_tokens": 5, "cold_min_tokens": 6, "continued_interval": 256}
        assert await house.touch(path, policy=PolicyKnobs(cold_min_tokens=6)) == pid
        await house.touch(path, policy=PolicyKnobs(min_tokens=7))
        assert policy() == {"min_tokens": 7, "cold_min_tokens": 6, "continued_interval": 256}
        await house.touch(path, policy=PolicyKnobs(continued_interval=8))
        assert policy() == {"min_tokens": 7, "cold_min_tokens": 6, "continued_interval": 8}
        await house.supervisor.unload(path)
        await house.touch(path)
        assert policy() == {"min_tokens": 5, "cold_min_tokens": 6, "continued_interval": 256}
        other = house.model("b")
        await house.touch(other)
        assert house.seen(other, "Configure")[-1]["policy"]["cold_min_tokens"] == 1

    model = ModelConfig(policy=PolicyKnobs(cold_min_tokens=6))
    config = Config(policy=PolicyKnobs(min_tokens=5), models={str(tmp_path / "a.gguf"): model})
    tell(story, config=config)


def test_a_model_is_loaded_as_the_configuration_says_unless_a_request_says_otherwise(
    tell: Tell, tmp_path: Path
) -> None:
    async def story(house: House) -> None:
        path = house.model()

        def loaded_with() -> list[object]:
            configure = house.seen(path, "Configure")[-1]
            return [configure[name] for name in ("parallel", "context_size", "threads")]

        await house.touch(path)
        assert loaded_with() == [2, 1024, None]
        (status,) = await house.supervisor.statuses()
        assert status.expires_s == 60.0
        await house.touch(path, parallel=3, threads=1, keep_alive_s=5)
        assert loaded_with() == [3, 1024, 1]
        (status,) = await house.supervisor.statuses()
        assert status.expires_s == 5.0
        await house.supervisor.unload(path)
        await house.touch(path)
        assert loaded_with() == [2, 1024, None]
        house.supervisor.configure(Config(load=LoadConfig(parallel=5, keep_alive=Duration(7))))
        (status,) = await house.supervisor.statuses()
        assert (status.expires_s, status.parallel) == (7.0, 2)

    model = ModelConfig(load=LoadConfig(ctx=1024))
    load = LoadConfig(parallel=2, ctx=512, keep_alive=Duration(60))
    tell(story, config=Config(load=load, models={str(tmp_path / "a.gguf"): model}))


def test_the_idle_model_that_was_used_least_recently_makes_room(tell: Tell) -> None:
    async def story(house: House) -> None:
        a, b, c, d = (house.model(name) for name in "abcd")
        for path in (a, b, c):
            house.now += 1
            await house.touch(path)
        busy = await house.acquire(a)
        house.available = lambda: (3 - len(house.supervisor._workers())) * GIB
        await house.touch(d)
        assert await house.loaded() == ["a", "c", "d"]
        assert len(house.seen(b, "Shutdown")) == 1
        busy.release()

    tell(story)


def test_a_model_that_made_room_keeps_its_options(tell: Tell) -> None:
    async def story(house: House) -> None:
        a, b, c = (house.model(name) for name in "abc")
        await house.touch(a, kv_type="q8_0")
        house.now += 1
        await house.touch(b)
        house.available = lambda: (2 - len(house.supervisor._workers())) * GIB
        await house.touch(c)
        assert await house.loaded() == ["b", "c"]
        house.now += 1
        await house.touch(a)
        assert house.seen(a, "Configure")[-1]["kv_type"] == "q8_0"
        assert await house.loaded() == ["a", "c"]

    tell(story)


def test_a_model_in_use_is_never_unloaded_for_another(tell: Tell) -> None:
    async def story(house: House) -> None:
        a, b = house.model("a"), house.model("b")
        lease = await house.acquire(a)
        house.available = lambda: 0
        await house.touch(b)
        assert not lease.worker.is_stopping
        assert await house.loaded() == ["a", "b"]

    tell(story)


def test_others_are_served_while_a_model_is_looked_up_and_what_is_configured_meanwhile_counts(
    tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(house: House) -> None:
        looking, found = threading.Event(), threading.Event()

        def slowly(config: Config, _file: Path) -> ModelOptions:
            looking.set()
            assert found.wait(20)
            return config.load.options

        monkeypatch.setattr(supervisor, "configured_options", slowly)
        lease = asyncio.create_task(house.acquire(house.model()))
        await until(looking.is_set)
        house.supervisor.configure(Config(load=LoadConfig(parallel=7)))
        found.set()
        assert (await lease).worker.configuration.parallel == 7
        (await lease).release()

    tell(story)


def test_attached_adapters_outlive_unload_death_and_replacement(tell: Tell) -> None:
    async def story(house: House) -> None:
        path, supervisor = house.model(), house.supervisor

        def attached() -> object:
            return house.seen(path, "Configure")[-1]["adapters"]

        await supervisor.call("a", path, frames.LoadAdapter(supervisor.next_id(), "/x", 0.5))
        await supervisor.unload(path)
        pid = await house.touch(path)
        assert attached() == [{"path": "/x", "scale": 0.5}]
        os.kill(pid, signal.SIGKILL)
        await until(lambda: not supervisor._workers())
        await supervisor.call("a", path, frames.ScaleAdapter(supervisor.next_id(), "/x", 2.0))
        await house.touch(path, context_size=512)
        assert attached() == [{"path": "/x", "scale": 2.0}]
        await supervisor.call("a", path, frames.UnloadAdapter(supervisor.next_id(), "/x"))
        await supervisor.unload(path)
        await house.touch(path)
        assert attached() == []

    tell(story)


def test_an_adapter_whose_file_is_gone_can_be_left_out_before_the_load(tell: Tell) -> None:
    async def story(house: House) -> None:
        path, supervisor = house.model(), house.supervisor
        await supervisor.call("a", path, frames.LoadAdapter(supervisor.next_id(), "/x", 0.5))
        await supervisor.unload(path)
        supervisor.forget_adapter(path, "/x")
        await house.touch(path)
        assert house.seen(path, "Configure")[-1]["adapters"] == []

    tell(story)


def test_a_death_fails_its_requests_by_name_and_the_next_one_reloads_with_the_same_options(tell: Tell) -> None:
    async def story(house: House) -> None:
        path = house.model()
        await house.touch(path, kv_type="q8_0")
        failed = await house.say(path, "die")
        assert isinstance(failed, frames.Failed)
        assert failed.failure.code == "worker_died"
        assert "SIGKILL" in failed.failure.message
        assert isinstance(await house.say(path, "hello"), frames.Finished)
        assert [each["kv_type"] for each in house.seen(path, "Configure")] == ["q8_0", "q8_0"]

    tell(story)


def test_a_request_that_killed_three_workers_is_refused_for_the_rest_of_the_minute(tell: Tell) -> None:
    async def story(house: House) -> None:
        path = house.model()
        for _ in range(3):
            assert isinstance(await house.say(path, "die"), frames.Failed)
            house.now += 10
        error = await failure_of(house.say(path, "die"))
        assert isinstance(error, RequestKillsWorker)
        assert "30 s" in str(error.hint)
        assert len(house.seen(path, "Configure")) == 3
        assert isinstance(await house.say(path, "hello"), frames.Finished)
        house.now += 30
        assert isinstance(await house.say(path, "die"), frames.Failed)

    tell(story)


def test_a_call_that_kills_workers_is_refused_too(tell: Tell) -> None:
    async def story(house: House) -> None:
        path, supervisor = house.model(), house.supervisor

        async def call() -> str:
            error = await failure_of(supervisor.call("a", path, frames.Tokenize(supervisor.next_id(), "die", True)))
            return error.failure.code if isinstance(error, RemoteError) else error.code

        # The first is put to two workers, the second to one: that was the third death.
        assert [await call() for _ in range(3)] == ["worker_died", *["request_kills_worker"] * 2]
        assert len(house.seen(path, "Tokenize")) == 3

    tell(story)


def test_a_call_to_a_worker_that_died_unnoticed_is_put_to_the_next_one(tell: Tell) -> None:
    async def story(house: House) -> None:
        path, supervisor = house.model(), house.supervisor
        pid = await house.touch(path)
        os.kill(pid, signal.SIGKILL)
        answer = await supervisor.call("a", path, frames.Tokenize(supervisor.next_id(), "hi", False))
        assert isinstance(answer, frames.Tokens)
        assert len(house.seen(path, "Configure")) == 2

    tell(story)


def test_a_call_that_was_put_to_another_worker_still_counts_the_death(tell: Tell) -> None:
    async def story(house: House) -> None:
        path, supervisor = house.model(), house.supervisor

        async def call() -> frames.FromWorker:
            return await supervisor.call("a", path, frames.Tokenize(supervisor.next_id(), "die once", False))

        for _ in range(2):
            assert isinstance(await call(), frames.Tokens)
            path.with_suffix(".died").unlink()
        assert isinstance(await failure_of(call()), RequestKillsWorker)

    tell(story)


def test_a_call_that_cannot_be_encoded_leaves_no_trace(tell: Tell) -> None:
    async def story(house: House) -> None:
        path, supervisor = house.model(), house.supervisor
        await house.touch(path)
        call = frames.Render(supervisor.next_id(), [Message("user", ["hi"])], [{"n": 10**23}])
        with pytest.raises(OverflowError):
            await supervisor.call("a", path, call)
        (worker,) = supervisor._workers()
        assert (worker.leases, worker.running) == (set(), [])
        assert await supervisor.unload(path)

    tell(story)


def test_every_request_hears_of_a_death_that_cannot_be_recorded(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(house: House) -> None:
        def fail(*_: object) -> None:
            raise OverflowError

        monkeypatch.setattr(Deaths, "record", fail)
        lease = await house.acquire(house.model())
        answers = lease.worker.ask(generate(1, "die"))
        assert isinstance(await answers.get(), frames.Failed)
        lease.release()

    tell(story)


def test_all_that_ran_beside_a_death_count_but_not_those_in_the_queue(tell: Tell) -> None:
    async def story(house: House) -> None:
        path = house.model()
        for _ in range(3):
            lease = await house.acquire(path)
            hanging = [asyncio.create_task(house.say(path, prompt)) for prompt in ("hang", "queue")]
            await until(lambda: len(lease.worker._open) == 2)  # noqa: B023
            await until(lambda: any(each.is_queued for each in lease.worker._open.values()))  # noqa: B023
            await house.say(path, "die")
            assert all(isinstance(frame, frames.Failed) for frame in await asyncio.gather(*hanging))
            lease.release()
        assert isinstance(await failure_of(house.say(path, "hang")), RequestKillsWorker)
        queued = asyncio.create_task(house.say(path, "queue"))
        await until(lambda: len(house.seen(path, "Generate")) == 10)
        queued.cancel()

    tell(story)


def test_a_worker_that_dies_while_loading_is_tried_once_for_each_request(tell: Tell) -> None:
    async def story(house: House) -> None:
        path = house.model(load="die")
        for number in range(1, 5):
            error = await failure_of(house.acquire(path))
            assert isinstance(error, WorkerDied)
            assert "while loading" in str(error)
            assert len(house.seen(path, "Configure")) == number
        house.model()
        await house.touch(path)

    tell(story)


def test_a_load_that_fails_leaves_the_options_as_they_were(tell: Tell) -> None:
    async def story(house: House) -> None:
        path = house.model()
        await house.touch(path, kv_type="q8_0")
        house.model(load="fail")
        error = await failure_of(house.acquire(path, context_size=1 << 20))
        assert isinstance(error, RemoteError)
        assert error.failure.code == "model_unreadable"
        house.model()
        await house.touch(path)
        configure = house.seen(path, "Configure")[-1]
        assert (configure["context_size"], configure["kv_type"]) == (None, "q8_0")

    tell(story)


@pytest.mark.parametrize("seed", range(2))
def test_whatever_happens_together_no_worker_is_stopped_in_use(tell: Tell, seed: int) -> None:
    async def story(house: House) -> None:
        dice, path = random.Random(seed), house.model()

        async def use() -> None:
            options = {"context_size": dice.choice([None, None, None, None, 512]), "keep_alive_s": dice.choice([0, 9])}
            lease = await house.acquire(path, **options)
            for _ in range(dice.randrange(30)):
                assert not lease.worker.is_stopping
                await asyncio.sleep(0)
            lease.release()

        tasks: list[asyncio.Task[object]] = []
        for _ in range(30):
            if dice.random() < 0.1:
                tasks.append(asyncio.create_task(house.supervisor.unload(path)))
            else:
                tasks.append(asyncio.create_task(use()))
            if dice.random() < 0.3:
                dice.choice(tasks).cancel()
            await asyncio.sleep(0)
        done, _ = await asyncio.wait(tasks)
        assert [task.exception() for task in done if not task.cancelled() and task.exception()] == []
        await house.supervisor.unload(path)
        assert await house.loaded() == []
        assert len(house.seen(path, "Configure")) >= len(house.seen(path, "Shutdown")) > 0

    tell(story)


def test_stopping_saves_every_worker_and_cuts_off_those_who_wait(tell: Tell) -> None:
    async def story(house: House) -> None:
        a, b = house.model("a"), house.model("b", load_gate=str(house.folder / "never"))
        await house.touch(a)
        waiting = asyncio.create_task(house.acquire(b))
        await until(lambda: bool(house.seen(b, "Configure")))
        await house.supervisor.stop()
        assert len(house.seen(a, "Shutdown")) == 1
        assert isinstance(await failure_of(waiting), AnswerCutOff)
        assert isinstance(await failure_of(house.acquire(a)), AnswerCutOff)
        assert await house.loaded() == []

    tell(story)
