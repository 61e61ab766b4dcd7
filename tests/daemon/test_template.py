from __future__ import annotations

import contextlib
import resource
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from erllama_daemon.deadline import DeadlineExceeded, deadline
from erllama_daemon.errors import TemplateFailed
from erllama_daemon.messages import Message
from erllama_daemon.template.chat import ChatTemplate

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


@pytest.mark.parametrize("source", [CHATML, None, CHATML.replace("message.content", "message.content | trim")])
def test_an_answer_begins_where_the_prompt_that_asked_for_it_ended(source: str | None) -> None:
    said = [Message("system", ["Be brief."]), user("Hi"), Message("assistant", ["Hello"]), user("a document", " And?")]
    rendered = template(source).render([*said, Message("assistant", ["So."]), user("Why?")])
    asked = [template(source).render(said[:count]) for count in (2, 4)]
    assert [start for start, _ in rendered.answers] == [len(prompt.text) for prompt in asked]
    assert [rendered.text[start:end].split("<")[0] for start, end in rendered.answers] == ["Hello", "So."]
    for prompt in asked:
        assert rendered.text.startswith(prompt.text)
        assert rendered.segments()[: len(prompt.segments())] == prompt.segments()


def test_an_answer_that_is_not_where_its_prompt_ended_is_none() -> None:
    thinks = CHATML.replace("{% if add_generation_prompt %}<|im_start|>assistant\n", "{% if add_generation_prompt %}A")
    said = [user("Hi"), Message("assistant", ["Hello"]), user("And?")]
    assert template(thinks).render(said).answers == ()
    assert template(STRIPS_OLD_ANSWERS).render(said).answers == ()


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


@pytest.mark.parametrize("source", [CHATML, None, CHATML.replace("message.content", "message.content | trim")])
def test_what_follows_an_unknown_answer_is_what_extends_a_known_one(source: str | None) -> None:
    history = [Message("system", ["Be brief."]), user("Hi"), Message("assistant", ["Hello?"]), user("So?")]
    new = [user("a document", " And?")]
    assert template(source).follow(new) == template(source).extend([*history, Message("assistant", ["Hm."])], new)


@pytest.mark.parametrize("source", [STRIPS_OLD_ANSWERS, CHATML.replace("{{ message.role }}", "{{ loop.index }}")])
def test_a_template_that_looks_back_cannot_follow_an_unknown_answer(source: str) -> None:
    with pytest.raises(TemplateFailed, match="all that was said before"):
        template(source).follow([user("And?")])


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


def test_what_chat_templates_do_still_works() -> None:
    source = (
        "{%- macro line(role, text) -%}{{ '<' ~ role ~ '>' + text | trim | replace('a', 'A') }}{%- endmacro -%}"
        "{%- set ns = namespace(count=0, seen=[]) -%}"
        "{%- for message in messages -%}{%- set ns.count = ns.count + 2 ** 3 % 5 -%}"
        "{%- set ns.seen = ns.seen + [message.role] -%}{{ line(message['role'], message['content'][:5]) }}"
        "{%- if loop.index0 == 7 -%}{%- break -%}{%- endif -%}{%- endfor -%}"
        "{{ '%s/%d' % ('x', ns.count) }}{{ ns.seen | join(',') }}{{ '-' * 3 }}{{ '%02d' | format(7) }}"
        "{{ {'b': [1]} | tojson(indent=2) }}{{ ' | '.join(['p', 'q']) }}{{ 'a b'.split()[-1].upper() }}"
        "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list | length }}"
        "{{ '{:>4}'.format(5) }}{{ strftime_now('%Y')[:2] }}{{ 'x\ny' | indent(2) }}{{ bos_token }}"
    )
    assert template(source).render([user(" alpaca ")]).text == (
        '<user>AlpAx/3user---07{\n  "b": [\n    1\n  ]\n}p | qB1   520x\n  y<s>'
    )


HOSTILE = {
    "loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "loops in a macro that calls itself": "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
    "loops in a filter": "{{ range(99999) | map('string') | map('list') | map('first') | list | length }}"
    "{% for i in range(99999) %}{{ range(99999) | map('string') | list | length }}{% endfor %}",
    "multiplies a string": "{{ ('a' * 10 ** 10) | length }}",
    "multiplies a list": "{{ ([0] * 1000000000) | length }}",
    "multiplies from the left": "{{ (1000000000 * 'a') | length }}",
    "a constant width": "{{ ('%1000000000d' % 1) | length }}",
    "a width as argument": "{{ ('%*d' % (1000000000, 1)) | length }}",
    "a width to format": "{{ ('{:>1000000000}'.format(1)) | length }}",
    "a width to the filter": "{{ ('%1000000000d' | format(1)) | length }}",
    "a nested width": "{{ ('{:>{}}'.format(1, 1000000000)) | length }}",
    "justifies": "{{ 'a'.ljust(1000000000) | length }}",
    "centres": "{{ 'a' | center(1000000000) | length }}",
    "indents": "{{ ('\n' * 1000000) | indent(99999) | length }}",
    "indents json": "{{ [[[1]]] | tojson(indent=99999999) | length }}",
    "replaces": "{{ ('a' * 1000000).replace('a', 'b' * 1000000) | length }}",
    "replaces in a filter": "{{ ('a' * 1000000) | replace('a', 'b' * 1000000) | length }}",
    "joins": "{{ ('a' * 1000000).join(['b'] * 1000000) | length }}",
    "joins in a filter": "{{ (['b'] * 1000000) | join('a' * 1000000) | length }}",
    "expands tabs": "{{ ('\t' * 1000000).expandtabs(99999) | length }}",
    "wraps": "{{ ('a' * 1000000) | wordwrap(1, True, 'b' * 1000000) | length }}",
    "doubles": "{% set n = namespace(s='a') %}{% for i in range(40) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
    "doubles by adding": "{% set n = namespace(s='a') %}{% for i in range(40) %}{% set n.s = n.s + n.s %}{% endfor %}",
    "keeps what it makes": "{% set n = namespace(s=[], t='a' * 4000000) %}"
    "{% for i in range(9999) %}{% set n.s = n.s + [n.t ~ i] %}{% endfor %}",
    "keeps slices": "{% set n = namespace(s=[], t='a' * 4000000) %}"
    "{% for i in range(9999) %}{% set n.s = n.s + [n.t[1:]] %}{% endfor %}",
    "writes without end": "{% set t = 'a' * 1000000 %}{% for i in range(9999) %}{{ t }}{% endfor %}",
    "writes into a variable": "{% set s %}{% for i in range(9999) %}{{ 'a' * 1000000 }}{% endfor %}{% endset %}",
    "an endless number": "{{ 9 ** (9 ** 9) % 7 }}",
    "a number by squaring": "{% set n = namespace(x=9) %}{% for i in range(60) %}{% set n.x = n.x * n.x %}{% endfor %}",
    "many words": "{{ lipsum(n=1000000) | length }}",
    "a list of lists": "{{ ([[0] * 1000000] * 1000000) | sum(start=[]) | length }}",
    "a large range": "{{ range(1000000000) | list | length }}",
    "reaches for globals": "{{ cycler.__init__.__globals__ }}",
    "reaches for classes": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "reaches through attr": "{{ ('' | attr('__class__')).__mro__ }}",
    "reaches through format": "{{ '{0.__class__.__mro__}'.format('') }}{{ ''.__class__.__mro__ }}",
    "nests deeply": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
}


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_template_is_stopped_on_any_thread(source: str) -> None:
    def render() -> None:
        with pytest.raises(TemplateFailed):
            template(source).render([user("Hi"), Message("assistant", ["Hello"]), user("And?")])

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with ThreadPoolExecutor(1) as thread:
        thread.submit(render).result()
        assert thread.submit(template(CHATML).render, [user("Hi")]).result().text.startswith("<|im_start|>")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600 * 1024, "in KiB"


def test_a_deadline_leaves_nothing_behind() -> None:
    for _ in range(200):
        try:
            with deadline(0.0005):
                for _ in range(10_000):
                    pass
        except DeadlineExceeded:
            continue
    time.sleep(0.01)


def test_a_deadline_is_not_an_error_of_the_body() -> None:
    with pytest.raises(DeadlineExceeded), deadline(0.05):
        while True:
            with contextlib.suppress(Exception):
                time.sleep(0.001)


def test_two_templates_do_not_share_their_bounds() -> None:
    long = template("{% set t = 'a' * 4000000 %}{% for i in range(30) %}{% set s = t ~ i %}{% endfor %}fine")
    for _ in range(4):
        assert long.render([user("Hi")]).text == "fine"


def test_a_long_conversation_is_cut_at_each_message_in_no_time() -> None:
    messages = [
        Message("assistant" if number % 2 else "user", [f"Message {number} says user and assistant."])
        for number in range(2001)
    ]
    rendered = template(CHATML).render(messages)
    segments = rendered.segments()
    assert len(segments) == 2001
    assert segments[0] == "<|im_start|>user\nMessage 0 says user and assistant.<|im_end|>\n<|im_start|>assistant\n"
    assert all(segment.startswith(("<|im_start|>user", "Message")) for segment in segments)
    assert template(CHATML).render(messages[:7]).segments()[:-1] == segments[:6]


def test_half_a_character_is_refused() -> None:
    with pytest.raises(TemplateFailed, match="surrogate"):
        template("{{ '\\ud800' }}").render([user("Hi")])
