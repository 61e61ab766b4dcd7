from __future__ import annotations

import pytest

from erllama_daemon.errors import TemplateFailed
from erllama_daemon.messages import Message
from erllama_daemon.template import ChatTemplate

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
STRIPS_OLD_ANSWERS = (
    "{% for message in messages %}{% if message.role == 'user' %}Q{{ message.content }}{% else %}"
    "A{{ message.content if loop.last else '...' }}{% endif %}{% endfor %}{% if add_generation_prompt %}A{% endif %}"
)


def template(source: str | None) -> ChatTemplate:
    return ChatTemplate(source, bos_text="<s>", eos_text="</s>")


def user(*parts: str) -> Message:
    return Message("user", list(parts))


def test_message_boundaries_and_parts_are_breakpoints() -> None:
    rendered = template(CHATML).render([Message("system", ["Be brief."]), user("the document", " the question")])
    assert rendered.segments() == [
        "<|im_start|>system\nBe brief.<|im_end|>\n",
        "<|im_start|>user\nthe document",
        " the question<|im_end|>\n<|im_start|>assistant\n",
    ]


def test_equal_beginnings_give_equal_segments() -> None:
    one = template(CHATML).render([user("the document", " one")]).segments()
    two = template(CHATML).render([user("the document", " another question")]).segments()
    assert one[:-1] == two[:-1]


def test_the_next_turn_is_only_what_follows_the_answer() -> None:
    history = [user("Hi"), Message("assistant", ["Hello <there>"])]
    extension = template(CHATML).extend(history, [user("And?")])
    assert extension is not None
    assert extension.text == "<|im_end|>\n<|im_start|>user\nAnd?<|im_end|>\n<|im_start|>assistant\n"


def test_an_answer_that_the_template_would_trim_still_extends() -> None:
    trims = CHATML.replace("message.content", "message.content | trim")
    history = [user("Hi"), Message("assistant", ["  Hello\n\n"])]
    assert template(trims).extend(history, [user("And?")]) is not None


def test_a_template_that_drops_the_answer_cannot_extend() -> None:
    history = [user("Hi"), Message("assistant", ["Hello"])]
    assert template(STRIPS_OLD_ANSWERS).extend(history, [user("And?")]) is None


def test_a_base_model_without_a_template_reads_the_text_as_it_is() -> None:
    assert template(None).render([user("Once upon", " a time")]).text == "Once upon a time"


@pytest.mark.parametrize(
    "source",
    [
        "{{ raise_exception('no') }}",
        "{{ messages.nothing.at.all }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{% for i in range(10 ** 9) %}{% endfor %}",
    ],
    ids=["raises", "undefined", "reaches out", "loops"],
)
def test_a_template_that_misbehaves_is_named(source: str) -> None:
    with pytest.raises(TemplateFailed):
        template(source).render([user("Hi")])


def test_a_template_that_does_not_parse_is_named() -> None:
    with pytest.raises(TemplateFailed):
        template("{% for %}")
