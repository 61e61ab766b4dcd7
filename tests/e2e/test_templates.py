"""Chat templates that make a model think, and ones that mean harm, in a real worker."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_models import CHAT_TEMPLATE, TinyModel, write_tiny_model
from worker_process import WorkerProcess

from erllama_cache.keys import pack_tokens
from erllama_daemon.frames import Failed, Finished, History, Text
from erllama_daemon.messages import Message, Sampling

THINKING_TEMPLATE = CHAT_TEMPLATE.replace("assistant\\n'", "assistant\\n<think>'")
THOUGHT = Sampling(temperature=0.0, grammar='root ::= [a-z]{12} "</think>" [A-Z]{6}')

HARMFUL = {
    "loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "raises": "{{ raise_exception('no') }}",
    "reaches outside": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "grows": "{{ 'a' * 10**10 }}",
}


def test_thinking_is_told_apart_and_kept_in_the_chain(tmp_path: Path) -> None:
    model = write_tiny_model(TinyModel.DENSE, tmp_path / "model.gguf", chat_template=THINKING_TEMPLATE)
    with WorkerProcess(model, tmp_path / "cache") as worker:
        number = worker.ask("Why?", max_tokens=60, sampling=THOUGHT)
        shown = ["", ""]
        while not isinstance(frame := worker.receive(), Finished):
            if isinstance(frame, Text):
                shown[frame.thinking] += frame.text
        assert frame.id == number
        first = frame.stats
        assert (first.text, first.thinking) == tuple(shown)
        assert first.thinking is not None
        assert (first.thinking.islower(), first.text.isupper()) == (True, True)
        history = History(
            messages=[Message("user", ["Why?"]), Message("assistant", [first.text])],
            tokens=frame.tokens,
            finish_key=frame.finish_key,
            fingerprint=worker.ready.fingerprint,
        )
        second = worker.generate("And?", history=history, max_tokens=60, sampling=THOUGHT)
        assert second.stats.cached_tokens == len(frame.tokens) // 4, second.stats.cache_note
        assert second.tokens.startswith(frame.tokens)


@pytest.mark.parametrize("harm", HARMFUL)
def test_a_template_that_means_harm_is_named_and_the_worker_lives_on(tmp_path: Path, harm: str) -> None:
    model = write_tiny_model(TinyModel.DENSE, tmp_path / "model.gguf", chat_template=HARMFUL[harm])
    with WorkerProcess(model, tmp_path / "cache") as worker:
        worker.ask("Why?")
        while not isinstance(frame := worker.receive(), Failed):
            pass
        assert frame.failure.code == "template_failed"
        assert worker.generate(tokens=pack_tokens(list(b"Why?"))).stats.completion_tokens == 12
