from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erllama_daemon.engine.answer_text import AnswerText, Said, StopSequences, ThinkingSplit
from erllama_daemon.thinking import ThinkingMarkers, thinking_markers

MARKERS = ThinkingMarkers("<think>", "</think>")
INSIDE = ThinkingMarkers("<think>", "</think>", starts_inside=True)

few_letters = st.text("ab\n", max_size=30)
stop_lists = st.lists(st.text("ab\n", min_size=1, max_size=5), max_size=4)
cuts = st.lists(st.integers(0, 200), max_size=20)
thoughtful = st.lists(
    st.sampled_from(["<think>", "</think>", "<", "</", "think>", " ", "\n", "a", "stop", "é", "🦙"]), max_size=12
).map("".join)


def cut_text(whole: str, positions: list[int]) -> list[str]:
    edges = [0, *sorted(min(position, len(whole)) for position in positions), len(whole)]
    return [whole[start:end] for start, end in itertools.pairwise(edges)]


def cut_bytes(whole: bytes, positions: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(position, len(whole)) for position in positions), len(whole)]
    return [whole[start:end] for start, end in itertools.pairwise(edges)]


def stopped(text: str, stops: list[str]) -> tuple[str, str | None]:
    """What should be shown, and the stop sequence: the earliest, of these the longest."""
    found = min(((text.find(stop), -len(stop), stop) for stop in stops if stop in text), default=None)
    return (text, None) if found is None else (text[: found[0]], found[2])


@given(few_letters, stop_lists, cuts)
def test_stop_sequences_are_found_however_the_text_is_cut(text: str, stops: list[str], positions: list[int]) -> None:
    sequences = StopSequences(stops)
    shown = "".join([sequences.add(piece) for piece in cut_text(text, positions)]) + sequences.flush()
    assert (shown, sequences.found) == stopped(text, stops)


@given(few_letters, stop_lists)
def test_no_more_is_held_back_than_could_become_a_stop_sequence(text: str, stops: list[str]) -> None:
    sequences = StopSequences(stops)
    shown = sequences.add(text)
    if sequences.found is None:
        held = text[len(shown) :]
        assert not held or any(stop.startswith(held[: len(stop)]) for stop in stops)


def test_the_longer_of_two_stop_sequences_is_waited_for() -> None:
    sequences = StopSequences(["\n", "\n\n"])
    assert sequences.add("a\n") == "a"
    assert sequences.found is None
    assert sequences.add("\nb") == ""
    assert sequences.found == "\n\n"
    assert sequences.add("more") == ""


def test_what_was_held_back_is_shown_in_the_end() -> None:
    sequences = StopSequences(["</end>"])
    assert sequences.add("a </en") == "a "
    assert sequences.flush() == "</en"


def joined(said: Sequence[Said], *, is_thinking: bool) -> str:
    return "".join(each[0] for each in said if isinstance(each, tuple) and each[1] is is_thinking)


@given(thoughtful, cuts, st.sampled_from([MARKERS, INSIDE]))
def test_thinking_does_not_depend_on_how_the_text_is_cut(
    text: str, positions: list[int], markers: ThinkingMarkers
) -> None:
    def split(parts: list[str]) -> tuple[str, str, bool]:
        splitter = ThinkingSplit(markers)
        spans = [span for part in parts for span in splitter.add(part)] + splitter.flush()
        return joined(spans, is_thinking=True), joined(spans, is_thinking=False), splitter.has_thought

    body = text if markers.starts_inside else text.lstrip().removeprefix("<think>")
    has_thought = markers.starts_inside or text.lstrip().startswith("<think>")
    thought, _, answer = body.partition("</think>") if has_thought else ("", "", text)
    assert split(cut_text(text, positions)) == (thought, answer.lstrip() if has_thought else answer, has_thought)


@given(st.text("ab<think>/ é🦙\n", max_size=40), stop_lists, cuts, st.sampled_from([None, MARKERS, INSIDE]))
def test_bytes_in_any_pieces_show_the_same(
    text: str, stops: list[str], positions: list[int], markers: ThinkingMarkers | None
) -> None:
    def show(parts: list[bytes]) -> tuple[str, str | None, str | None]:
        answer = AnswerText(stops, markers)
        spans = [span for part in parts for span in answer.add(part)] + answer.add(b"", last=True)
        assert joined(spans, is_thinking=False) == answer.text
        assert joined(spans, is_thinking=True) == (answer.thinking or "")
        return answer.text, answer.thinking, answer.stop_sequence

    assert show(cut_bytes(text.encode(), positions)) == show([text.encode()])


def test_stop_sequences_end_the_answer_and_not_the_thinking() -> None:
    answer = AnswerText(["stop"], MARKERS)
    spans = answer.add(b"<think>do not stop</think>\n\nI will stop here")
    assert spans == [("do not stop", True), ("I will ", False)]
    assert (answer.text, answer.thinking, answer.stop_sequence) == ("I will ", "do not stop", "stop")
    assert answer.add(b" and more", last=True) == []


def test_an_opening_marker_in_the_middle_of_an_answer_is_text() -> None:
    answer = AnswerText(markers=MARKERS)
    answer.add(b"Write <think> like this.", last=True)
    assert (answer.text, answer.thinking) == ("Write <think> like this.", None)


def test_a_character_split_over_tokens_waits_for_its_rest() -> None:
    answer = AnswerText()
    llama = "🦙".encode()
    assert answer.add(llama[:2]) == []
    assert answer.add(llama[2:]) == [("🦙", False)]
    assert answer.add(llama[:1], last=True) == [("�", False)]


@pytest.mark.parametrize(
    ("source", "prompt", "expected"),
    [
        (None, "Hi", None),
        ("{{ messages }}", "Hi <think>", None),
        ("...split('</think>')...", "<|assistant|>", ThinkingMarkers("<think>", "</think>", False)),
        ("... '<think>\\n' ...", "<|assistant|><think>\n", ThinkingMarkers("<think>", "</think>", True)),
        ("... '<think>\\n' ...", "<think>\n\n</think>\n\n", ThinkingMarkers("<think>", "</think>", False)),
        ("... <thinking> ...", "<thinking>", ThinkingMarkers("<thinking>", "</thinking>", True)),
    ],
)
def test_a_template_tells_how_its_model_thinks(
    source: str | None, prompt: str, expected: ThinkingMarkers | None
) -> None:
    assert thinking_markers(source, prompt) == expected
