from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from daemon.house import House, Tell, until

from erllama_daemon import memory
from erllama_daemon.config import ByteSize, CacheConfig, Config
from erllama_daemon.messages import Quotas
from erllama_daemon.models import status_row

MIB = 1 << 20
LOW = memory.low_bytes()


def limits(house: House, path: Path) -> list[int]:
    """The shares that a model's workers were told after their start."""
    return [each["bytes"] for each in house.seen(path, "RamQuota")]


def test_workers_share_the_ram_budget(tell: Tell) -> None:
    async def story(house: House) -> None:
        a, b = house.model("a"), house.model("b")
        await house.touch(a)
        await house.touch(b)
        assert house.seen(a, "Configure")[0]["ram_bytes"] == 1 << 20
        assert house.seen(b, "Configure")[0]["ram_bytes"] == 1 << 19
        await until(lambda: [each["bytes"] for each in house.seen(a, "RamQuota")] == [1 << 19])
        await house.supervisor.unload(b)
        await until(lambda: [each["bytes"] for each in house.seen(a, "RamQuota")] == [1 << 19, 1 << 20])

    tell(story)


def test_the_quotas_reach_the_worker_and_are_told(tell: Tell) -> None:
    async def story(house: House) -> None:
        path = house.model()
        await house.touch(path)
        (configure,) = house.seen(path, "Configure")
        assert (configure["ram_bytes"], configure["disk_bytes"], configure["write_bytes_per_day"]) == (1, 2, 3)
        assert house.supervisor.quotas == Quotas(ram_bytes=1, disk_bytes=2, write_bytes_per_day=3)

    tell(
        story,
        config=Config(
            cache=CacheConfig(ram_bytes=ByteSize(1), disk_bytes=ByteSize(2), write_bytes_per_day=ByteSize(3))
        ),
    )


def test_the_ram_tiers_make_room_before_any_model_does(tell: Tell) -> None:
    async def story(house: House) -> None:
        a, b = house.model("a", ram_bytes=MIB), house.model("b")
        await house.touch(a)
        house.available = lambda: 1 << 40 if limits(house, a) else 0
        await house.touch(b)
        assert await house.loaded() == ["a", "b"]
        assert limits(house, a) == [0]
        assert house.seen(b, "Configure")[0]["ram_bytes"] == 0
        assert house.supervisor.quotas.ram_bytes == 0

    tell(story)


def test_the_ram_tiers_give_up_no_more_than_is_needed(tell: Tell) -> None:
    async def story(house: House) -> None:
        a, b, c = house.model("a", ram_bytes=MIB), house.model("b", ram_bytes=MIB), house.model("c")
        await house.touch(a)
        await house.touch(b)
        missing = 1000
        house.available = lambda: memory.needed_bytes(c) - (0 if limits(house, b) else missing)
        await house.touch(c)
        assert await house.loaded() == ["a", "b", "c"]
        assert house.supervisor.quotas.ram_bytes == MIB - missing
        assert limits(house, b) == [(MIB - missing) // 2, (MIB - missing) // 3]
        assert house.seen(c, "Configure")[0]["ram_bytes"] == (MIB - missing) // 3

    tell(story)


def test_a_model_is_unloaded_if_the_ram_tiers_were_not_enough(tell: Tell) -> None:
    async def story(house: House) -> None:
        a, b = house.model("a", ram_bytes=MIB), house.model("b")
        await house.touch(a)
        house.available = lambda: 1 << 40 if house.seen(a, "Shutdown") else 0
        await house.touch(b)
        assert await house.loaded() == ["b"]
        kinds = [line for line in a.with_suffix(".seen").read_text().splitlines() if "RamQuota" in line or "Sh" in line]
        assert ["RamQuota" in line for line in kinds] == [True, False]

    tell(story)


def test_a_worker_that_does_not_answer_is_not_waited_for(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(house: House) -> None:
        monkeypatch.setattr(status_row, "STATUS_TIMEOUT_S", 0.01)
        a, b = house.model("a"), house.model("b")
        lease = await house.acquire(a)
        os.kill(lease.worker.pid, signal.SIGSTOP)
        try:
            house.available = lambda: 0
            await house.touch(b)
        finally:
            os.kill(lease.worker.pid, signal.SIGCONT)
        lease.release()

    tell(story)


def test_the_budget_shrinks_by_halves_and_comes_back_in_steps(tell: Tell, caplog: pytest.LogCaptureFixture) -> None:
    async def story(house: House) -> None:
        path = house.model()
        await house.touch(path)
        free = LOW - 1
        house.available = lambda: free

        def looked(times: int) -> list[int]:
            told = []
            for _ in range(times):
                house.supervisor._ram.adjust()
                told.append(house.supervisor.quotas.ram_bytes)
            return told

        caplog.clear()
        assert looked(6) == [MIB >> 1, MIB >> 2, MIB >> 3, MIB >> 4, 0, 0]
        assert len(caplog.messages) == 5
        free = LOW
        assert looked(1) == [0]
        free = 2 * LOW - 1
        assert looked(1) == [0]
        free = 2 * LOW
        assert looked(6) == [MIB >> 4, MIB >> 3, MIB >> 2, MIB >> 1, MIB, MIB]
        assert len(caplog.messages) == 10
        shrinking = [MIB >> 1, MIB >> 2, MIB >> 3, MIB >> 4, 0]
        await until(lambda: limits(house, path) == [*shrinking, MIB >> 4, MIB >> 3, MIB >> 2, MIB >> 1, MIB])

    with caplog.at_level("INFO", "erllama_daemon.models.ram_budget"):
        tell(story)


def test_no_step_takes_so_much_that_memory_is_short_again(tell: Tell) -> None:
    async def story(house: House) -> None:
        await house.touch(house.model())
        free = 0
        house.available = lambda: free
        while house.supervisor.quotas.ram_bytes:
            house.supervisor._ram.adjust()
        free = 2 * LOW
        house.supervisor._ram.adjust()
        assert house.supervisor.quotas.ram_bytes == LOW

    tell(story, config=Config(cache=CacheConfig(ram_bytes=ByteSize(64 * LOW))))


def test_memory_is_watched_as_long_as_a_worker_lives(tell: Tell) -> None:
    async def story(house: House) -> None:
        path, budget = house.model(), house.supervisor._ram
        assert budget._timer is None
        await house.touch(path)
        house.available = lambda: 0
        await until(lambda: house.supervisor.quotas.ram_bytes == 0)
        house.available = lambda: 1 << 40
        await until(lambda: house.supervisor.quotas.ram_bytes == MIB)
        await house.supervisor.unload(path)
        await until(lambda: budget._timer is None)
        await house.touch(path)
        assert budget._timer is not None

    tell(story, watch_s=0.001)


def test_where_the_system_tells_nothing_the_budget_stays(tell: Tell) -> None:
    async def story(house: House) -> None:
        await house.touch(house.model())
        house.supervisor._ram.adjust()
        assert house.supervisor.quotas.ram_bytes == MIB

    tell(story)
