"""Metrics, and what is under way."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from daemon.application import Daemon, Response, Tell, ask, tell_in
from daemon.fake_worker import stats
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import Receive, Scope, Send

from erllama_cache.store import Store
from erllama_daemon.http.endpoint import Refusals
from erllama_daemon.http.gate import Gate
from erllama_daemon.http.metrics import family
from erllama_daemon.http.metrics.last_minute import LastAnswers
from erllama_daemon.http.metrics.model_labels import ModelLabels
from erllama_daemon.log_line import dated_lines

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def tell(tmp_path: Path) -> Tell:
    return tell_in(tmp_path)


Samples = dict[tuple[str, ...], float]


def samples(response: Response) -> dict[str, Samples]:
    """The values of each series by those of its labels in the order of their names, buckets apart."""
    found: dict[str, Samples] = {}
    for metric in text_string_to_metric_families(response.body.decode()):
        for sample in metric.samples:
            if "le" not in sample.labels:
                labels = tuple(value for _, value in sorted(sample.labels.items()))
                assert labels not in found.setdefault(sample.name, {}), "a series is there twice"
                found[sample.name][labels] = sample.value
    return found


def test_a_scrape_tells_what_was_asked_and_how_it_ended(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        for prompt in ("Hum.", "busy", "die"):
            await daemon.post("/v1/complete", ask(model, prompt))
        await daemon.get("/v1/nothing")
        await daemon.post("/v1/complete", ask("never heard of", "Hum."))
        response = await daemon.get("/metrics")
        found = samples(response)
        assert found["erllama_http_requests_total"] == {
            ("200", "erllama", "/v1/complete", "POST"): 3,
            ("404", "none", "none", "none"): 1,
            ("404", "erllama", "/v1/complete", "POST"): 1,
        }
        assert found["erllama_answers_total"] == {
            ("erllama", "a.gguf", "stop"): 1,
            ("erllama", "a.gguf", "failed"): 2,
        }
        assert found["erllama_cache_hits_total"] == {("cold", "a.gguf", "none"): 1}
        assert found["erllama_prompt_tokens_total"] == {("a.gguf", "cache"): 0, ("a.gguf", "computed"): 3}
        assert found["erllama_generated_tokens_total"] == {("a.gguf",): 1}
        assert found["erllama_time_to_first_token_seconds_count"] == {("a.gguf",): 1}
        assert found["erllama_worker_deaths_total"] == {("a.gguf",): 2}
        assert found["erllama_models"] == {(): 0}
        assert found["erllama_connections"] == {(): 1}
        assert b"never heard of" not in response.body

    tell(story)


def test_what_is_served_is_what_is_documented(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        hanging = daemon.start("POST", "/v1/complete", ask(daemon.model(), "hang"))
        await hanging.until_event("prefilling")
        await daemon.post("/v1/complete", ask(daemon.model("b"), "Hum."))
        response = await daemon.get("/metrics")
        served = {
            metric.name: (metric.type, metric.documentation)
            for metric in text_string_to_metric_families(response.body.decode())
        }
        known = (*family.ANSWERED, *family.NOW, *family.CACHE)
        declared = {each.name.removesuffix("_total"): (each.kind, each.told) for each in known}
        may_be_missing = {"erllama_cache_write_quota_bytes"}
        assert served == {name: told for name, told in declared.items() if name not in may_be_missing}
        page = (DOCS / "metrics.md").read_text()
        assert all(f"`{each.name}`" in page for each in known)
        await hanging.hang_up()

    tell(story)


def test_what_is_under_way_is_listed_with_its_state_and_its_client(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        hanging = daemon.start("POST", "/v1/complete", ask(model, "hang", private=True), {"x-request-id": "mine"})
        await hanging.until_event("prefilling")
        queued = daemon.start("POST", "/v1/complete", ask(model, "queue"))
        await queued.until_event("queued")
        found = (await daemon.get("/v1/requests")).json
        first, second = found["requests"]
        assert (first["request_id"], first["client"], first["state"]) == ("mine", "erllama", "prefilling")
        assert (first["prompt_tokens"], first["read_tokens"], first["model"]) == (3, 3, model)
        assert (second["state"], second["ahead"]) == ("queued", 2)
        assert found["models"][0]["path"] == model
        states = samples(await daemon.get("/metrics"))["erllama_requests"]
        assert states == {("prefilling",): 1, ("queued",): 1}
        await hanging.hang_up()
        await queued.hang_up()
        await daemon.app.answers.finish()
        assert (await daemon.get("/v1/requests")).json["requests"] == []
        assert (await daemon.get("/v1/requests")).json["last_minute"]["answers"] == 2

    tell(story)


def test_the_counters_of_the_cache_are_those_of_its_folder(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        with Store(daemon.directories.cache, ram_bytes=0, disk_bytes=1 << 20) as store:
            for name in ("hits_resume", "saves_evict", "saves_dropped", "quarantined", "evicted"):
                store.tally.add(name)
            store.tally.add("bytes_written", 7)
            store.tally.add("saved_total_ns", 1_500_000_000)
        found = samples(await daemon.get("/metrics"))
        assert found["erllama_cache_lookups_total"]["resume",] == 1
        assert found["erllama_cache_saves_total"] == {
            ("cold",): 0, ("continued",): 0, ("finish",): 0, ("evict",): 1, ("shutdown",): 0
        }  # fmt: skip
        for name in ("saves_dropped", "quarantined", "evictions"):
            assert found[f"erllama_cache_{name}_total"] == {(): 1}
        assert found["erllama_cache_written_bytes_total"] == {(): 7}
        assert found["erllama_cache_saved_seconds_total"] == {(): 1.5}
        assert found["erllama_cache_quota_bytes"].keys() == {("ram",), ("disk",)}

    tell(story)


def test_a_cache_that_cannot_be_looked_into_keeps_nobody_from_seeing_the_rest(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        daemon.directories.cache.parent.mkdir(parents=True, exist_ok=True)
        daemon.directories.cache.write_text("no folder")
        found = samples(await daemon.get("/metrics"))
        assert found["erllama_cache_bytes"] == {("ram",): 0}
        assert (await daemon.get("/v1/requests")).json["disk"] is None

    tell(story)


def test_each_file_has_one_name_of_its_own_however_it_is_called() -> None:
    labels = ModelLabels()
    one, other = Path("/a/m.gguf"), Path("/b/m.gguf")
    assert [labels.of(one, "/a/m.gguf"), labels.of(other, "/b/m.gguf"), labels.of(one, "small")] == [
        "m.gguf",
        "m.gguf~2",
        "m.gguf",
    ]
    assert labels.of(Path("/c"), "none") == "none~2"


def test_an_answer_is_forgotten_after_a_minute() -> None:
    now = 0.0
    answers = LastAnswers(lambda: now)
    answers.note(stats("x"))
    now = 59.0
    assert (answers.sums().answers, answers.sums().cold, answers.sums().read_tokens) == (1, 1, 3)
    now = 60.0
    assert answers.sums().answers == 0


def test_a_request_has_the_id_that_its_client_gave_it_or_one_of_its_own(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        async def id_of(path: str, given: str | None = None) -> str:
            response = daemon.start("GET", path, None, {} if given is None else {"X-Request-Id": given})
            await response.task
            return response.headers["x-request-id"]

        assert await id_of("/v1/status", "a/b-1") == "a/b-1"
        made = [await id_of("/v1/nothing", given) for given in (None, "two words", "x" * 65, "é", "")]
        assert all(each.startswith("req_") for each in made)
        assert len({*made}) == len(made)

    tell(story)


def test_every_line_of_a_request_has_its_id_and_no_line_of_another(
    tell: Tell, caplog: pytest.LogCaptureFixture
) -> None:
    lines: list[str] = []
    handler = Lines(lines)

    async def story(daemon: Daemon) -> None:
        model = daemon.model(prints="WARNING native words\n")
        first = daemon.start("POST", "/v1/complete", ask(model, "Hum."), {"x-request-id": "one"})
        await first.task
        second = daemon.start("POST", "/v1/complete", ask(model, "busy"), {"x-request-id": "two"})
        await second.task
        third = daemon.start("GET", "/v1/no%0Athing?secret", None, {"x-request-id": "three"})
        await third.task
        await daemon.post("/v1/models/unload", {"model": model})

    logging.getLogger().addHandler(handler)
    try:
        with caplog.at_level(logging.INFO):
            tell(story)
    finally:
        logging.getLogger().removeHandler(handler)
    by = {event: next(line for line in lines if event in line).rpartition(" request=")[2] for event in EVENTS}
    assert by["worker started"] == by["model loaded"] == by["answer finished"] == "one"
    assert (by["answer failed"], by["request refused"]) == ("two", "three")
    (refused,) = [line for line in lines if "request refused" in line]
    assert "GET endpoint=none path=/v1/no?thing status=404 code=endpoint_unknown" in refused
    assert not [line for line in lines if " request=" in line and ("native words" in line or "model unloaded" in line)]


EVENTS = ("worker started", "model loaded", "answer finished", "answer failed", "request refused")


class Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines
        self.setFormatter(dated_lines())

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))


def test_who_looks_on_neither_keeps_a_daemon_from_ending_nor_is_refused_while_it_does() -> None:
    async def respond(_scope: Scope, _receive: Receive, _send: Send) -> None:
        assert not gate.is_entered
        served.append(gate.idle_s)

    async def nobody(*_: object) -> Any:
        raise AssertionError("nothing is said by the gate")

    now, served = 0.0, list[float]()
    gate = Gate(lambda: now)
    now, gate.is_shut = 60.0, True

    async def look() -> None:
        for path in ("/metrics", "/v1/requests", "/health"):
            await gate.around(respond, Refusals([]))({"type": "http", "path": path}, nobody, nobody)

    asyncio.run(look())
    assert served == [60.0] * 3
