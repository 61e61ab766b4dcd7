from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import closing

import jsonschema
import llama_cpp
import numpy as np
import pytest

from erllama_daemon.catalog.find import find_model
from erllama_daemon.engine.backend import Logits
from erllama_daemon.errors import GrammarInvalid, JsonSchemaInvalid, RequestInvalid, TokenUnknown
from erllama_daemon.grammar.calls import CallGrammar
from erllama_daemon.llama.log import native_log
from erllama_daemon.llama.sampler import PENALTY_WINDOW, LlamaSampler
from erllama_daemon.messages import Sampling
from erllama_daemon.tooling.call_format import CALL_FORMATS, CallFormat
from erllama_daemon.tooling.call_split import CallSplit

LOG = native_log()
CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class Vocabulary:
    """The real model's vocabulary without its weights."""

    def __init__(self) -> None:
        llama_cpp.llama_backend_init()
        params = llama_cpp.llama_model_default_params()
        params.vocab_only = True
        self.model = llama_cpp.llama_model_load_from_file(os.fsencode(find_model("demo")), params)
        self.pointer = llama_cpp.llama_model_get_vocab(self.model)
        self.size = llama_cpp.llama_vocab_n_tokens(self.pointer)

    def sampler(self, sampling: Sampling, seed: int = 7, recent: Sequence[int] = ()) -> LlamaSampler:
        return LlamaSampler(self.pointer, self.size, sampling, seed, recent, last_error=LOG.last_error)

    def piece(self, token: int) -> bytes:
        buffer = ctypes.create_string_buffer(256)
        count = llama_cpp.llama_token_to_piece(self.pointer, token, buffer, 256, 0, False)
        return buffer.raw[: max(count, 0)]

    def is_end(self, token: int) -> bool:
        return bool(llama_cpp.llama_vocab_is_eog(self.pointer, token))

    def write(self, sampling: Sampling, tokens: int = 200, seed: int = 7, *, follow: str | None = None) -> str:
        """What comes of random logits; ends at an end token."""
        text, random = b"", np.random.default_rng(seed)
        with closing(self.sampler(sampling, seed, recent=[1, 2, 3])) as sampler:
            if follow is not None:
                sampler.follow(follow)
            for _ in range(tokens):
                token = sampler.sample(random.normal(0, 3, self.size).astype(np.float32))
                if self.is_end(token):
                    break
                text += self.piece(token)
        return text.decode()


@pytest.fixture(scope="module")
def vocabulary() -> Iterator[Vocabulary]:
    loaded = Vocabulary()
    yield loaded
    llama_cpp.llama_model_free(loaded.model)


def rows(size: int, count: int, seed: int = 3) -> list[Logits]:
    return list(np.random.default_rng(seed).normal(0, 3, (count, size)).astype(np.float32))


def reference(vocabulary: Vocabulary, sampling: Sampling, logits: Sequence[Logits], recent: Sequence[int]) -> list[int]:
    """The whole native chain over every token."""
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    if sampling.grammar is not None:
        native = llama_cpp.llama_sampler_init_grammar(vocabulary.pointer, sampling.grammar.encode(), b"root")
        llama_cpp.llama_sampler_chain_add(chain, native)
    natives = []
    penalties = (sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty)
    if penalties != (1.0, 0.0, 0.0):
        penalty = llama_cpp.llama_sampler_init_penalties(vocabulary.size, PENALTY_WINDOW, *penalties)
        for token in recent[-PENALTY_WINDOW:]:
            llama_cpp.llama_sampler_accept(penalty, token)
        natives.append(penalty)
    if sampling.temperature <= 0.0:
        natives.append(llama_cpp.llama_sampler_init_greedy())
    else:
        natives += [llama_cpp.llama_sampler_init_top_k(sampling.top_k)] if sampling.top_k > 0 else []
        natives += [llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1)] if sampling.top_p < 1.0 else []
        natives += [llama_cpp.llama_sampler_init_min_p(sampling.min_p, 1)] if sampling.min_p > 0.0 else []
        natives += [
            llama_cpp.llama_sampler_init_temp(sampling.temperature),
            llama_cpp.llama_sampler_init_dist(7),
        ]
    for native in natives:
        llama_cpp.llama_sampler_chain_add(chain, native)
    chosen = []
    for row in logits:
        candidates = np.zeros(len(row), dtype=CANDIDATE)
        candidates["id"], candidates["logit"] = np.arange(len(row)), row
        pointer = candidates.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_token_data))
        array = llama_cpp.llama_token_data_array(data=pointer, size=len(row), selected=-1, sorted=False)
        llama_cpp.llama_sampler_apply(chain, ctypes.byref(array))
        chosen.append(int(array.data[array.selected].id))
        llama_cpp.llama_sampler_accept(chain, chosen[-1])
    llama_cpp.llama_sampler_free(chain)
    return chosen


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(),
        Sampling(temperature=0.0),
        Sampling(temperature=0.0, repeat_penalty=1.3),
        Sampling(temperature=0.0, repeat_penalty=0.5),
        Sampling(temperature=1.5, repeat_penalty=1.2),
        Sampling(temperature=1.5, repeat_penalty=0.7),
        Sampling(temperature=0.0, frequency_penalty=2.0),
        Sampling(temperature=0.0, presence_penalty=-9.0),
        Sampling(temperature=1.5, frequency_penalty=-0.5, presence_penalty=1.0),
        Sampling(temperature=1.0, top_k=0),
        Sampling(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0),
        Sampling(temperature=2.0, top_k=5, top_p=1.0, min_p=0.0),
        Sampling(temperature=2.0, top_k=30_000),
        Sampling(temperature=1.2, grammar="root ::= [a-z ]+"),
        Sampling(temperature=0.0, grammar="root ::= [a-z ]+"),
        Sampling(temperature=1.2, repeat_penalty=1.4, grammar="root ::= [a-z ]+"),
        Sampling(temperature=0.0, repeat_penalty=0.5, grammar="root ::= [a-z ]+"),
        Sampling(temperature=1.2, grammar='root ::= ("7" | "8" | "9" "!")+'),
    ],
    ids=str,
)
def test_it_chooses_what_the_whole_chain_over_every_token_would(vocabulary: Vocabulary, sampling: Sampling) -> None:
    logits, recent = rows(vocabulary.size, 12), list(range(1000, 1100))
    logits[3][:] = logits[2]
    logits[5][[9, 500, 40_000]] = 30.0  # the first of several equals
    with closing(vocabulary.sampler(sampling, recent=recent)) as sampler:
        expected = reference(vocabulary, sampling, logits, recent)
        if vocabulary.is_end(expected[-1]):
            logits = logits[: len(expected)]
        assert [sampler.sample(row) for row in logits] == expected


def test_the_logits_are_left_as_they_were(vocabulary: Vocabulary) -> None:
    (row,) = rows(vocabulary.size, 1)
    before = row.copy()
    row.setflags(write=False)
    biased = Sampling(logit_bias={5: 3.0}, repeat_penalty=1.5, grammar="root ::= [a-z ]*")
    with closing(vocabulary.sampler(biased, recent=[5])) as sampler:
        sampler.sample(row)
    assert (row == before).all()


def test_a_bias_decides(vocabulary: Vocabulary) -> None:
    (row,) = rows(vocabulary.size, 1)
    with closing(vocabulary.sampler(Sampling(temperature=0.0, logit_bias={123: 1e300}))) as sampler:
        assert sampler.sample(row) == 123
    best = int(row.argmax())
    with closing(vocabulary.sampler(Sampling(logit_bias={best: -1e300}))) as sampler:
        assert best not in {sampler.sample(row) for _ in range(50)}


def test_a_bias_does_not_lift_the_grammar(vocabulary: Vocabulary) -> None:
    (row,) = rows(vocabulary.size, 1)
    with closing(vocabulary.sampler(Sampling(grammar='root ::= "x"', logit_bias={123: 100.0}))) as sampler:
        assert vocabulary.piece(sampler.sample(row)) == b"x"


@pytest.mark.parametrize("token", [-1, 49_152])
def test_a_bias_for_no_token_is_refused(vocabulary: Vocabulary, token: int) -> None:
    with pytest.raises(TokenUnknown, match="49151"):
        vocabulary.sampler(Sampling(logit_bias={token: 1.0}))


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_the_answer_follows_a_grammar_to_its_end(vocabulary: Vocabulary, temperature: float) -> None:
    grammar = 'root ::= "Das " ("größte" | "kleinste") " Lama 🦙" [0-9]{3}'
    text = vocabulary.write(Sampling(temperature=temperature, repeat_penalty=1.1, grammar=grammar))
    assert text.startswith(("Das größte Lama 🦙", "Das kleinste Lama 🦙"))
    assert text[-3:].isdecimal()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_answer_follows_a_schema(vocabulary: Vocabulary, temperature: float) -> None:
    schema = {
        "$defs": {"pet_kind": {"enum": ["llama", "alpaca"]}},
        "type": "object",
        "properties": {"kind": {"$ref": "#/$defs/pet_kind"}, "age": {"type": "integer"}, "is_old": {"type": "boolean"}},
        "required": ["kind", "age", "is_old"],
    }
    answer = json.loads(vocabulary.write(Sampling(temperature=temperature, json_schema=json.dumps(schema))))
    assert answer["kind"] in ("llama", "alpaca")
    assert isinstance(answer["age"], int)
    assert isinstance(answer["is_old"], bool)


def test_the_prompt_is_not_held_against_the_grammar(vocabulary: Vocabulary) -> None:
    with closing(vocabulary.sampler(Sampling(grammar='root ::= "x"'), recent=list(range(200)))) as sampler:
        assert vocabulary.piece(sampler.sample(rows(vocabulary.size, 1)[0])) == b"x"


@pytest.mark.parametrize("grammar", ['root ::= "\\x00"', "root ::= [z-a]"])
def test_a_grammar_that_no_token_can_follow_is_named(vocabulary: Vocabulary, grammar: str) -> None:
    with (
        closing(vocabulary.sampler(Sampling(grammar=grammar))) as sampler,
        pytest.raises(GrammarInvalid, match="token"),
    ):
        sampler.sample(rows(vocabulary.size, 1)[0])


def test_what_llama_cpp_refuses_is_named_after_what_was_given(vocabulary: Vocabulary) -> None:
    with pytest.raises(GrammarInvalid, match="parse grammar"):
        vocabulary.sampler(Sampling(grammar='root ::= "a"{0}*'))
    with pytest.raises(JsonSchemaInvalid):
        vocabulary.sampler(Sampling(json_schema='{"type": "string", "pattern": "^[\\\\q]$"}'))
    with pytest.raises(RequestInvalid):
        vocabulary.sampler(Sampling(grammar='root ::= "a"', json_schema="{}"))


def test_closing_twice_does_nothing(vocabulary: Vocabulary) -> None:
    sampler = vocabulary.sampler(Sampling(grammar='root ::= "a"'))
    sampler.close()
    sampler.close()


@pytest.mark.parametrize("format_", CALL_FORMATS, ids=lambda each: f"{each.name} {each.opening}")
def test_calls_are_whole_and_the_answer_ends_behind_them(vocabulary: Vocabulary, format_: CallFormat) -> None:
    parameters = {
        "weather": {
            "properties": {"city": {"enum": ["Köln", 'a"\\b']}, "days": {"type": "boolean"}},
            "required": ["city"],
        },
        "clock": {"type": "object", "properties": {}},
    }
    grammar = CallGrammar(format_, parameters, ["abcdefghi", "jklmnopqr"][: format_.most_calls])
    for seed in range(2):
        text = vocabulary.write(Sampling(temperature=0.0), 400, seed, follow=grammar.text())
        split = CallSplit(format_, parameters, ["abcdefghi", "jklmnopqr"])
        assert [*split.add(text), *split.flush()] == split.calls
        assert format_.write(split.calls) == text
        for call in split.calls:
            jsonschema.validate(json.loads(call.arguments), parameters[call.name])


def test_a_grammar_may_begin_in_the_middle_of_an_answer(vocabulary: Vocabulary) -> None:
    logits = np.random.default_rng(3).normal(0, 3, vocabulary.size).astype(np.float32)
    with closing(vocabulary.sampler(Sampling(temperature=0.0))) as sampler:
        assert sampler.sample(logits) == int(logits.argmax())
        sampler.follow('root ::= "y"')
        assert vocabulary.piece(sampler.sample(logits)) == b"y"
        assert vocabulary.is_end(sampler.sample(logits))
