"""The endpoints of conversations, over fake workers."""

from __future__ import annotations

import asyncio
import base64
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cache.samples import make_block
from daemon.application import Daemon, Response, Tell, ask, say, tell_in
from said import say as say_turn

from erllama_cache.disk.tier import DiskTier
from erllama_cache.tending.survey import survey
from erllama_daemon.messages import Message

WRONG_IDS = ("nothing", "latest", "%", "0f3a0f3a")
NAMES = (
    "build",
    "latest",
    "find",
    "a/b",
    "%",
    "a b",
    'it\'s "it"',
    "x: y?z=1&a#b",
    "🦙 👩‍🚀",
    "..",
    "private-thoughts",
    "0",
)


@pytest.fixture
def tell(tmp_path: Path) -> Tell:
    return tell_in(tmp_path)


async def begin(daemon: Daemon, *questions: str, model: str | None = None, **fields: object) -> str:
    """A conversation in which this was said, with a model whose tokens are words; its id."""
    model = model or daemon.model(counts_words=True)
    session: str = (await daemon.post("/v1/sessions", {"model": model, **fields})).json["id"]
    for question in questions:
        await turn(daemon, session, question)
    return session


async def turn(daemon: Daemon, session: str, prompt: str, **more: object) -> dict[str, Any]:
    """The stats of a turn that ended well."""
    response = await daemon.post("/v1/complete", say(session, prompt, **more))
    assert response.events()[-1] == "done", response.lines[-1]
    stats: dict[str, Any] = response.lines[-1]["stats"]
    return stats


async def turns(daemon: Daemon, session: str) -> dict[str, str]:
    """What was asked in each turn, by the turn's name; a star on those that the conversation leads over."""
    listed = (await daemon.get(f"/v1/sessions/{session}/turns")).json["turns"]
    return {each["name"]: each["messages"][0]["parts"][0] + "*" * each["current"] for each in listed}


def failed(response: Response, status: int, code: str) -> bool:
    return (response.status, response.json["code"]) == (status, code)


def questions(session: dict[str, Any]) -> list[str]:
    return [message["parts"][0] for message in session["messages"] if message["role"] == "user"]


def shown(frame: dict[str, Any]) -> list[str]:
    history = frame["history"]["messages"] if frame["history"] else []
    return ["".join(message["parts"]) for message in (*history, *frame["messages"])]


def test_the_list_shows_what_is_kept_and_the_search_where_a_text_stands(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        llamas = await begin(daemon, "Why do llamas hum?", name="On llamas")
        rivers = await begin(daemon, "Rivers, 100%?")
        await begin(daemon)
        await begin(daemon, "secret llamas", private=True)
        rows = (await daemon.get("/v1/sessions")).json["sessions"]
        assert [(row["id"], row["name"], row["title"], row["turns"]) for row in rows] == [
            (rivers, None, "Rivers, 100%?", 1),
            (llamas, "On llamas", "Why do llamas hum?", 1),
        ]
        assert all(row["tokens"] and row["finish_key"] and row["found"] is None for row in rows)
        for text, found in (("LLAMAS", [llamas]), ("100%", [rivers]), ("%%", []), ("secret", [])):
            rows = (await daemon.get(f"/v1/sessions?text={quote(text)}")).json["sessions"]
            assert [row["id"] for row in rows] == found
            assert all(text.casefold() in row["found"].casefold() for row in rows)

    tell(story)


@pytest.mark.parametrize("name", NAMES)
def test_any_name_works_everywhere(tell: Tell, name: str) -> None:
    async def story(daemon: Daemon) -> None:
        session = await begin(daemon, "hello", name=name)
        other = await begin(daemon, "other")
        found = await daemon.get(f"/v1/sessions/find?name={quote(name, safe='')}")
        assert (found.json["id"], found.json["name"]) == (session, name)
        assert (await turn(daemon, name, "again"))["session"] == session
        explained = await daemon.post("/v1/cache/explain", {"session": name})
        assert explained.json["session"] == session
        model = daemon.model()
        for response in (
            await daemon.post("/v1/sessions", {"model": model, "name": name}),
            await daemon.post(f"/v1/sessions/{other}/fork", {"name": name}),
            await daemon.post(f"/v1/sessions/{other}/change", {"name": name}),
        ):
            assert failed(response, 409, "session_name_taken")
            assert shlex.quote(name) in response.json["message"]
            assert session in response.json["hint"]
        assert (await daemon.post(f"/v1/sessions/{session}/change", {"name": ""})).json["name"] is None
        assert (await daemon.post(f"/v1/sessions/{other}/fork", {"name": name})).json["name"] == name

    tell(story)


@pytest.mark.parametrize("name", ["", " ", "a\nb", "\x1b[0m", "x" * 201])
def test_a_name_that_cannot_be_seen_is_refused(tell: Tell, name: str) -> None:
    async def story(daemon: Daemon) -> None:
        session = await begin(daemon, "hello")
        assert failed(
            await daemon.post("/v1/sessions", {"model": daemon.model(), "name": name}), 400, "request_invalid"
        )
        assert failed(await daemon.post(f"/v1/sessions/{session}/fork", {"name": name}), 400, "request_invalid")
        assert len((await daemon.get("/v1/sessions")).json["sessions"]) == 1

    tell(story)


def test_a_conversation_is_found_by_name_by_id_and_by_the_beginning_of_its_id(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        session = await begin(daemon, "hello", name="greetings")
        for name in ("greetings", session, session[:5]):
            for path in (f"/v1/sessions/find?name={name}", f"/v1/sessions/{name}"):
                assert (await daemon.get(path)).json["id"] == session
        missed = await daemon.get("/v1/sessions/find?name=greeting")
        assert failed(missed, 404, "session_unknown")
        assert "Did you mean 'greetings'?" in missed.json["hint"]
        assert failed(await daemon.get("/v1/sessions/find"), 404, "session_unknown")
        assert failed(await daemon.post("/v1/complete", say("greeting", "hi")), 404, "session_unknown")

    tell(story)


@pytest.mark.parametrize("wrong", WRONG_IDS)
def test_a_wrong_id_is_named_by_every_endpoint(tell: Tell, wrong: str) -> None:
    async def story(daemon: Daemon) -> None:
        session = await begin(daemon, "hello", name="named")
        model = daemon.model("b")
        for name in (wrong, session[:5], "named"):
            path = f"/v1/sessions/{quote(name)}"
            for response in (
                await daemon.get(f"{path}/turns"),
                await daemon.post(f"{path}/goto", {"turn": "0"}),
                await daemon.post(f"{path}/goto", {"turn": "1"}),
                await daemon.post(f"{path}/fork", {}),
                await daemon.post(f"{path}/fork", {"turn": "0", "name": "x"}),
                await daemon.post(f"{path}/change", {"name": "x"}),
                await daemon.post(f"{path}/change", {"model": model}),
                await daemon.post(f"{path}/change", {}),
                await daemon.delete(path),
            ):
                assert failed(response, 404, "session_unknown")
        assert (await daemon.get(f"/v1/sessions/{session}")).json["name"] == "named"
        assert len((await daemon.get("/v1/sessions")).json["sessions"]) == 1

    tell(story)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("goto", b"{}"),
        ("goto", b'{"turn": 1}'),
        ("goto", b'{"turn": "1", "more": 1}'),
        ("fork", b'{"nmae": "x"}'),
        ("fork", b"null"),
        ("change", b"nonsense"),
        ("change", b'{"name": 5}'),
    ],
)
def test_a_body_that_makes_no_sense_changes_nothing(tell: Tell, path: str, body: bytes) -> None:
    async def story(daemon: Daemon) -> None:
        session = await begin(daemon, "hello")
        before = (await daemon.get(f"/v1/sessions/{session}")).json
        assert failed(await daemon.post(f"/v1/sessions/{session}/{path}", body), 400, "request_invalid")
        assert (await daemon.get(f"/v1/sessions/{session}")).json == before

    tell(story)


def test_going_to_a_turn_has_the_next_one_follow_it(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model(counts_words=True)
        session = await begin(daemon, "a", "b", "c", model=model)
        gone = await daemon.post(f"/v1/sessions/{session}/goto", {"turn": "1"})
        assert (questions(gone.json), gone.json["turns"]) == (["a"], 1)
        stats = await turn(daemon, session, "d")
        assert shown(daemon.seen(model, "Generate")[-1]) == ["a", "a", "d"]
        assert stats["parent_key"] == gone.json["finish_key"]
        assert await turns(daemon, session) == {"1": "a*", "2.1": "b", "3": "c", "2.2": "d*"}
        assert failed(await daemon.post(f"/v1/sessions/{session}/goto", {"turn": "4"}), 404, "turn_unknown")
        beginning = (await daemon.post(f"/v1/sessions/{session}/goto", {"turn": "0"})).json
        assert (beginning["turn"], beginning["messages"], beginning["finish_key"]) == (None, [], None)
        await turn(daemon, session, "e")
        assert daemon.seen(model, "Generate")[-1]["history"] is None

    tell(story)


def test_going_to_a_turn_waits_for_the_answer_that_is_under_way(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        session = await begin(daemon, "a", "b")
        running = daemon.start("POST", "/v1/complete", say(session, "hang"))
        await running.until_event("prefilling")
        going = daemon.start("POST", f"/v1/sessions/{session}/goto", {"turn": "1"})
        await asyncio.sleep(0)
        assert (await daemon.get(f"/v1/sessions/{session}")).json["turns"] == 2
        await daemon.post(f"/v1/cancel/{running.lines[0]['id']}")
        await going.task
        assert going.json["turns"] == 1

    tell(story)


def test_a_conversation_is_settled_once_the_answer_that_is_under_way_has_ended(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        session = await begin(daemon, "one")
        answering = daemon.start("POST", "/v1/complete", say(session, "hang"))
        await answering.until_event("prefilling")
        settled = daemon.start("GET", f"/v1/sessions/{session}?settled=true")
        assert (await daemon.get(f"/v1/sessions/{session}")).json["turns"] == 1
        assert not settled.task.done()
        await answering.hang_up()
        await settled.task
        assert settled.json["unanswered"]["parts"] == ["hang"]

    tell(story)


def test_a_question_whose_answer_is_cut_off_is_kept_with_the_turn_that_it_follows(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        session = await begin(daemon, "one", "two")
        before = (await daemon.get(f"/v1/sessions/{session}")).json
        first = (await daemon.get(f"/v1/sessions/{session}/turns")).json["turns"][0]["id"]
        for after in (first, 0, None):
            answering = daemon.start("POST", "/v1/complete", say(session, "hang", after=after))
            await answering.until_event("prefilling")
            await answering.hang_up()
            cut = (await daemon.get(f"/v1/sessions/{session}?settled=true")).json
            assert (cut["unanswered"]["parts"], cut["asked_after"]) == (["hang"], after)
            assert (cut["turn"], cut["messages"]) == (before["turn"], before["messages"])

    tell(story)


def test_a_question_that_is_refused_is_kept_and_the_next_one_takes_its_place(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        session = await begin(daemon, "one")
        before = (await daemon.get(f"/v1/sessions/{session}")).json
        refused = await daemon.post("/v1/complete", say(session, "die"))
        assert refused.events()[-1] == "error"
        kept = (await daemon.get(f"/v1/sessions/{session}")).json
        assert (kept["turn"], kept["messages"]) == (before["turn"], before["messages"])
        assert kept["unanswered"]["parts"] == ["die"]
        await turn(daemon, session, "two")
        assert (await daemon.get(f"/v1/sessions/{session}")).json["unanswered"] is None
        assert await turns(daemon, session) == {"1": "one*", "2": "two*"}

    tell(story)


def test_a_fork_goes_on_alone_from_the_last_turn_or_any_other(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model(counts_words=True)
        session = await begin(daemon, "a", "b", model=model)
        fork = (await daemon.post(f"/v1/sessions/{session}/fork", {"name": "other way"})).json
        assert (fork["name"], fork["model"], questions(fork)) == ("other way", model, ["a", "b"])
        await turn(daemon, fork["id"], "c")
        await turn(daemon, session, "d")
        assert await turns(daemon, fork["id"]) == {"1": "a*", "2": "b*", "3": "c*"}
        assert await turns(daemon, session) == {"1": "a*", "2": "b*", "3": "d*"}
        first = (await daemon.post(f"/v1/sessions/{session}/fork", {"turn": "1"})).json
        assert (first["name"], questions(first)) == (None, ["a"])
        assert failed(await daemon.post(f"/v1/sessions/{session}/fork", {"turn": "9"}), 404, "turn_unknown")
        assert (await daemon.get("/v1/sessions/latest")).json["id"] == first["id"]

    tell(story)


def test_a_fork_can_be_made_while_an_answer_is_under_way(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        session = await begin(daemon, "a")
        running = daemon.start("POST", "/v1/complete", say(session, "hang"))
        await running.until_event("prefilling")
        fork = (await daemon.post(f"/v1/sessions/{session}/fork", {})).json
        assert (await turn(daemon, fork["id"], "b"))["session"] == fork["id"]
        assert not running.task.done()
        await running.hang_up()
        await daemon.app.answers.finish()

    tell(story)


def test_another_model_goes_on_with_the_conversation(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        session = await begin(daemon, "a", name="kept")
        other = daemon.model("other")
        changed = (await daemon.post(f"/v1/sessions/{session}/change", {"model": other})).json
        assert (changed["model"], changed["name"]) == (other, "kept")
        await turn(daemon, session, "b")
        assert shown(daemon.seen(other, "Generate")[-1]) == ["a", "a", "b"]
        missing = await daemon.post(f"/v1/sessions/{session}/change", {"model": "/gone.gguf", "name": "new"})
        assert failed(missing, 404, "model_missing")
        assert (await daemon.get(f"/v1/sessions/{session}")).json["name"] == "kept"

    tell(story)


def test_the_model_of_a_conversation_may_be_gone_and_all_else_still_works(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model(counts_words=True)
        session = await begin(daemon, "a", "b", model=model)
        Path(model).unlink()
        assert failed(await daemon.post("/v1/complete", say(session, "c")), 404, "model_missing")
        assert (await daemon.post(f"/v1/sessions/{session}/goto", {"turn": "1"})).json["turns"] == 1
        fork = (await daemon.post(f"/v1/sessions/{session}/fork", {})).json["id"]
        assert (await daemon.post(f"/v1/sessions/{session}/change", {"name": "x"})).json["name"] == "x"
        assert (await daemon.delete(f"/v1/sessions/{session}")).json["turns"] == 1
        assert await turns(daemon, fork) == {"1": "a*"}

    tell(story)


def test_a_retry_is_a_second_turn_after_the_same_one(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model(counts_words=True)
        session = await begin(daemon, "a", "b", model=model)
        first, second = (await daemon.get(f"/v1/sessions/{session}/turns")).json["turns"]
        again = await turn(daemon, session, "b", after=first["id"], sampling={"seed": 7})
        assert again["parent_key"] == first["finish_key"]
        assert again["turn"] not in (first["id"], second["id"])
        assert shown(daemon.seen(model, "Generate")[-1]) == ["a", "a", "b"]
        assert await turns(daemon, session) == {"1": "a*", "2.1": "b", "2.2": "b*"}
        assert (await daemon.get(f"/v1/sessions/{session}")).json["turn"] == again["turn"]
        from_start = await turn(daemon, session, "z", after=0)
        assert from_start["parent_key"] is None
        assert daemon.seen(model, "Generate")[-1]["history"] is None
        assert await turns(daemon, session) == {"1.1": "a", "2.1": "b", "2.2": "b", "1.2": "z*"}

    tell(story)


def test_a_retry_that_is_cancelled_or_fails_leaves_the_conversation_where_it_was(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        session = await begin(daemon, "a", "b")
        before = (await daemon.get(f"/v1/sessions/{session}")).json
        first = (await daemon.get(f"/v1/sessions/{session}/turns")).json["turns"][0]["id"]
        running = daemon.start("POST", "/v1/complete", say(session, "hang", after=first))
        await running.until_event("prefilling")
        assert (await daemon.get(f"/v1/sessions/{session}")).json["turn"] == before["turn"]
        await running.hang_up()
        await daemon.app.answers.finish()
        busy = await daemon.post("/v1/complete", say(session, "busy", after=first))
        assert busy.lines[-1]["code"] == "busy"
        after = (await daemon.get(f"/v1/sessions/{session}")).json
        assert (after["turn"], after["messages"]) == (before["turn"], before["messages"])

    tell(story)


@pytest.mark.parametrize("after", [999, -1, 1 << 63])
def test_a_turn_after_one_of_another_conversation_is_refused(tell: Tell, after: int) -> None:
    async def story(daemon: Daemon) -> None:
        session = await begin(daemon, "a")
        other = await begin(daemon, "b")
        foreign = (await daemon.get(f"/v1/sessions/{other}")).json["turn"]
        for number in (after, foreign):
            refused = await daemon.post("/v1/complete", say(session, "c", after=number))
            assert (refused.events(), refused.lines[-1]["code"]) == (["accepted", "error"], "turn_unknown")
        assert (await daemon.get(f"/v1/sessions/{session}")).json["unanswered"] is None

    tell(story)


def test_a_second_window_is_told_that_the_conversation_went_on(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model(counts_words=True)
        session = await begin(daemon, model=model)
        first = await turn(daemon, session, "a", seen=0)
        second = await turn(daemon, session, "b", seen=first["turn"])
        for seen, more in ((0, "2 turns more"), (first["turn"], "1 turn more"), (1 << 63, "2 turns more")):
            moved = await daemon.post("/v1/complete", say(session, "c", seen=seen))
            assert (moved.events(), moved.lines[-1]["code"]) == (["accepted", "error"], "session_moved")
            assert more in moved.lines[-1]["message"]
        assert len(daemon.seen(model, "Generate")) == 2
        assert (await daemon.get(f"/v1/sessions/{session}")).json["unanswered"] is None
        await turn(daemon, session, "c", seen=second["turn"])
        await turn(daemon, session, "d")

    tell(story)


def test_a_second_window_that_waited_is_told_too(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        session = await begin(daemon, "a")
        seen = (await daemon.get(f"/v1/sessions/{session}")).json["turn"]
        gate = daemon.folder / "gate"
        slow = daemon.model("slow", load_gate=str(gate))
        await daemon.post(f"/v1/sessions/{session}/change", {"model": slow})
        one = daemon.start("POST", "/v1/complete", say(session, "one", seen=seen))
        await one.until_event("loading")
        other = daemon.start("POST", "/v1/complete", say(session, "other", seen=seen))
        await other.until_event("accepted")
        gate.touch()
        await one.task
        await other.task
        assert (one.events()[-1], other.lines[-1]["code"]) == ("done", "session_moved")

    tell(story)


def test_a_key_of_a_turn_has_the_model_shown_what_was_said(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model(counts_words=True)
        session = await begin(daemon, "a", "b", model=model)
        first = (await daemon.get(f"/v1/sessions/{session}/turns")).json["turns"][0]
        done = await daemon.post("/v1/complete", ask(model, "c", parent_key=first["finish_key"].upper()))
        frame = daemon.seen(model, "Generate")[-1]
        assert shown(frame) == ["a", "a", "c"]
        assert base64.b64decode(frame["history"]["finish_key"]).hex() == first["finish_key"]
        assert frame["parent_key"] is None
        stats = done.lines[-1]["stats"]
        assert (stats["parent_key"], stats["session"], stats["turn"]) == (first["finish_key"], None, None)
        assert await turns(daemon, session) == {"1": "a*", "2": "b*"}

    tell(story)


def test_a_key_of_no_turn_is_the_workers_to_find(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        await begin(daemon, "a", model=model)
        key = "0f" * 32
        done = await daemon.post("/v1/complete", ask(model, "c", parent_key=key))
        frame = daemon.seen(model, "Generate")[-1]
        assert (frame["history"], base64.b64decode(frame["parent_key"]).hex()) == (None, key)
        assert done.lines[-1]["stats"]["parent_key"] == key
        tokens = {"model": model, "tokens": [1], "parent_key": "66" * 32}
        await daemon.post("/v1/complete", tokens)
        frame = daemon.seen(model, "Generate")[-1]
        assert (frame["history"], frame["parent_key"]) == (None, base64.b64encode(b"f" * 32).decode())

    tell(story)


def test_the_stats_say_where_a_turn_stands(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        session = await begin(daemon)
        first, second = await turn(daemon, session, "a"), await turn(daemon, session, "b")
        assert first["parent_key"] is None
        assert second["parent_key"] == first["finish_key"]
        listed = (await daemon.get(f"/v1/sessions/{session}/turns")).json["turns"]
        assert [each["id"] for each in listed] == [first["turn"], second["turn"]]
        assert [each["parent"] for each in listed] == [None, first["turn"]]
        assert [each["finish_key"] for each in listed] == [first["finish_key"], second["finish_key"]]
        assert [each["tokens"] for each in listed] == [2, 4]

    tell(story)


def test_a_private_conversation_goes_back_but_is_neither_forked_named_nor_listed(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model(counts_words=True)
        session = await begin(daemon, "a", "b", model=model, private=True)
        path = f"/v1/sessions/{session}"
        assert await turns(daemon, session) == {"1": "a*", "2": "b*"}
        assert (await daemon.post(f"{path}/goto", {"turn": "1"})).json["turns"] == 1
        again = await turn(daemon, session, "b", after=0)
        assert (again["session"], daemon.seen(model, "Generate")[-1]["scope"]) == (session, session)
        assert failed(await daemon.post(f"{path}/fork", {}), 400, "request_invalid")
        assert failed(await daemon.post(f"{path}/change", {"name": "x"}), 400, "request_invalid")
        named = {"model": model, "private": True, "name": "x"}
        assert failed(await daemon.post("/v1/sessions", named), 400, "request_invalid")
        other = daemon.model("other")
        assert (await daemon.post(f"{path}/change", {"model": other})).json["model"] == other
        assert (await daemon.get("/v1/sessions")).json["sessions"] == []
        assert (await daemon.get("/v1/sessions/latest")).json["code"] == "no_session"
        assert (await daemon.get(path)).json["id"] == session

    tell(story)


def test_a_private_conversation_is_not_found_by_less_than_its_id_nor_suggested(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        session = await begin(daemon, "a", private=True)
        for name in (session[:-1], "private-", session[:-1] + "x"):
            missed = await daemon.get(f"/v1/sessions/find?name={name}")
            assert failed(missed, 404, "session_unknown")
            assert session not in missed.json["hint"]

    tell(story)


def test_deleting_says_what_went_and_has_the_loaded_models_forget_it(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model(counts_words=True)
        session = await begin(daemon, "a", "b", model=model, name="gone soon")
        keys = [each["finish_key"] for each in (await daemon.get(f"/v1/sessions/{session}/turns")).json["turns"]]
        deleted = await daemon.delete(f"/v1/sessions/{session}")
        assert (deleted.status, deleted.json) == (
            200,
            {"id": session, "called": "gone soon", "turns": 2, "blocks": 0, "bytes": 0},
        )
        (frame,) = daemon.seen(model, "Forget")
        assert [base64.b64decode(key).hex() for key in frame["keys"]] == keys
        assert failed(await daemon.get(f"/v1/sessions/{session}"), 404, "session_unknown")
        assert failed(await daemon.delete(f"/v1/sessions/{session}"), 404, "session_unknown")
        assert (await daemon.get("/v1/sessions")).json["sessions"] == []
        assert (await daemon.post("/v1/sessions", {"model": model, "name": "gone soon"})).status == 200

    tell(story)


def test_deleting_takes_blocks_from_the_disk_but_not_those_that_a_fork_shares(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        session = await begin(daemon)
        shared = make_block([1])
        own = make_block([2], shared)
        daemon.directories.cache.mkdir()
        disk = DiskTier(daemon.directories.cache, 1 << 30)
        disk.open()
        for block in (shared, own):
            disk.publish(block)
        disk.close()
        said = [Message("user", ["?"]), Message("assistant", ["!"])]
        say_turn(daemon.sessions, session, said, bytes(4), shared.key)
        fork = (await daemon.post(f"/v1/sessions/{session}/fork", {})).json["id"]
        say_turn(daemon.sessions, session, said, bytes(8), own.key)
        deleted = (await daemon.delete(f"/v1/sessions/{session}")).json
        assert (deleted["turns"], deleted["blocks"]) == (1, 1)
        assert deleted["bytes"] > 0
        assert set(survey(daemon.directories.cache).rows) == {shared.key}
        assert (await daemon.delete(f"/v1/sessions/{fork}")).json["blocks"] == 1
        assert not survey(daemon.directories.cache).rows

    tell(story)


def test_deleting_ends_the_answers_of_the_conversation_first(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model(counts_words=True)
        session = await begin(daemon, "a", model=model)
        other = await begin(daemon, "b", model=model)
        elsewhere = daemon.start("POST", "/v1/complete", say(other, "hang"))
        running = daemon.start("POST", "/v1/complete", say(session, "hang"))
        await elsewhere.until_event("prefilling")
        await running.until_event("prefilling")
        waiting = daemon.start("POST", "/v1/complete", say(session, "hello"))
        await waiting.until_event("accepted")
        assert (await daemon.delete(f"/v1/sessions/{session}")).json["turns"] == 1
        await running.task
        await waiting.task
        assert [each.lines[-1]["stats"]["cancelled"] for each in (running, waiting)] == [True, True]
        assert not elsewhere.task.done()
        seen = [frame["type"] for frame in daemon.all_seen(model)]
        assert seen.index("Cancel") < seen.index("Forget")
        await elsewhere.hang_up()
        await daemon.app.answers.finish()

    tell(story)


def test_a_question_to_a_conversation_that_is_being_deleted_comes_too_late(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        session = await begin(daemon, "a")
        running = daemon.start("POST", "/v1/complete", say(session, "hang"))
        await running.until_event("prefilling")
        wishes: list[dict[str, object]] = [{}, {"after": 0}, {"after": 1}, {"seen": 1}]
        late = [daemon.start("POST", "/v1/complete", say(session, "late", **wish)) for wish in wishes]
        deleting = daemon.start("DELETE", f"/v1/sessions/{session}")
        for each in (deleting, running, *late):
            await each.task
        assert deleting.status == 200
        for each in late:
            last = each.lines[-1]
            assert last.get("code") == "session_unknown" or last["stats"]["cancelled"]
        assert (await daemon.get("/v1/sessions")).json["sessions"] == []

    tell(story)
