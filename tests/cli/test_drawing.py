"""Text that is drawn while it comes: the screen shows in the end what the whole text at once would show."""

from __future__ import annotations

import random
import re
import threading
from itertools import pairwise

import pytest
from cli.drawn_screen import DrawnScreen
from hypothesis import given, settings
from hypothesis import strategies as st

from erllama_cli.drawing.document import Document
from erllama_cli.drawing.inline import provisionally_closed
from erllama_cli.drawing.page import Page, Span
from erllama_cli.drawing.painter import Painter
from erllama_cli.drawing.printable import Printable
from erllama_cli.drawing.region import Region

HUMMING = """\
# Why llamas hum

Llamas hum because they **like** to, and `hum()` is how they talk to *one another* when no one listens.
It sounds like a question.
See [the herd](https://llama.example/herd) or <https://llama.example>.

1. **Calm**: a low hum
   - with ears up
   - or down, which means something else that takes more words to tell than fit on one line

   and so on
2. Worried

> Never stare
> at a llama.
"""
CODE = '''\
So:

```python
def hum(times: int) -> str:
    """Says it
    often."""
    return "m" * times  # as long as the llama likes it, which may take much longer than a line of this screen holds


class Llama:
	ears = 2
```

and then `./hum --loud`:

1. Run it

   ```sh
   for each in 1 2 3; do hum "$each"; done
   ```
2. Listen
~~~
no language, never closed
'''
TABLE = """\
Two llamas
Name | Hum | Note
--- | ---: | :---:
Lola | 12 | likes the **sun** and does not like the rain, nor snow, nor hail
ラマ | 7 | 日本から | and more than there are columns

***
plain
"""
PITFALLS = """\
5 * 3 < 7 && a_b_c, <b>not bold</b> and ![a picture](llama.png "Lola")
Not a heading
---
[label]: not-a-definition
-
- an empty item before
\tand a tab
**never closed, `neither is this
"""
DOCUMENTS = {"humming": HUMMING, "code": CODE, "table": TABLE, "pitfalls": PITFALLS, "all": HUMMING + CODE + TABLE}
SCREENS = [(80, 24), (40, 10), (20, 5), (7, 3)]
ATOMS = [
    *("**", "*", "`", "``", "```", "```py\n", "```\n", "~~~\n", "\n", "\n\n", " ", "    ", "\t", "\\", "_", "__", "~~"),
    *("- ", "* ", "+ ", "1. ", "10. ", "2) ", "> ", "# ", "---", "===", "|", "a | b", "--- | ---", "|---|---|\n"),
    *(
        "[x](y)",
        "[",
        "](u)",
        "!",
        "<b>",
        "&amp;",
        "x = 1",
        "def f():",
        "'''",
        "# c",
        "日本",
        "é",
        "💡",
        "more words here",
    ),
]


def _chunks(text: str, choice: random.Random) -> list[str]:
    cuts = sorted({0, len(text), *(choice.randrange(len(text) + 1) for _ in range(choice.randrange(2, 60)))})
    return [text[begin:end] for begin, end in pairwise(cuts)]


def _drawn_live(screen: DrawnScreen, chunks: list[str]) -> None:
    document, region = Document(), Region(screen.write, screen.size)
    for chunk in chunks:
        document.add(chunk)
        drawn = document.drawn(Page(screen.size().columns, colour=True))
        region.show(drawn.done, drawn.live)
    region.end(document.rest(Page(screen.size().columns, colour=True)))


def _drawn_at_once(screen: DrawnScreen, text: str) -> None:
    document = Document()
    document.add(text)
    for line in document.rest(Page(screen.size().columns, colour=True)):
        screen.write(f"{line.text}\n")


def _lines(text: str, columns: int = 40, *, colour: bool = True) -> list[str]:
    document = Document()
    document.add(text)
    return [line.text for line in document.rest(Page(columns, colour))]


def _shown(text: str, columns: int = 40) -> list[str]:
    screen = DrawnScreen(columns)
    _drawn_at_once(screen, text)
    return screen.lines


@pytest.mark.parametrize("size", SCREENS, ids=str)
@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("seed", range(2))
def test_a_text_that_came_in_pieces_looks_like_the_whole_text(name: str, size: tuple[int, int], seed: int) -> None:
    text = DOCUMENTS[name]
    live, at_once = DrawnScreen(*size), DrawnScreen(*size)
    _drawn_live(live, _chunks(text, random.Random(seed)))
    _drawn_at_once(at_once, text)
    assert live.cells == at_once.cells
    assert live.is_left_as_found


@settings(max_examples=40)
@given(st.lists(st.sampled_from(ATOMS), max_size=40), st.sampled_from(SCREENS), st.randoms(use_true_random=False))
def test_so_does_any_other_text(atoms: list[str], size: tuple[int, int], choice: random.Random) -> None:
    text = "".join(atoms)
    live, at_once = DrawnScreen(*size), DrawnScreen(*size)
    _drawn_live(live, _chunks(text, choice))
    _drawn_at_once(at_once, text)
    assert live.cells == at_once.cells
    assert live.is_left_as_found


@pytest.mark.parametrize("size", SCREENS, ids=str)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_word_is_lost(name: str, size: tuple[int, int]) -> None:
    screen = DrawnScreen(*size)
    _drawn_at_once(screen, DOCUMENTS[name])
    shown = re.sub(r"[\s│─]", "", "".join(screen.lines))
    position = 0
    for word in re.findall(r"\w+", DOCUMENTS[name]):
        if name in ("table", "all"):  # cells stand beside each other, wherever they break
            assert word in shown or size[0] < 40
        else:
            position = shown.index(word, position)


def test_words_break_at_blanks_only_unless_a_line_cannot_hold_them() -> None:
    assert _shown("Llamas hum quietly together", 10) == ["Llamas hum", "quietly", "together"]
    assert _shown("A 12345678901234567890 b", 8) == ["A", "12345678", "90123456", "7890 b"]
    assert _shown("abc 日本語、の長い", 8) == ["abc 日本", "語、の長", "い"]
    assert _shown("e\u0301e\u0301 👍 x", 7) == ["éé 👍 x"]


def test_single_line_breaks_stay() -> None:
    assert _shown("Roses are red,\nllamas are *warm*,\nand so on") == [
        "Roses are red,",
        "llamas are warm,",
        "and so on",
    ]


def test_lists_headings_and_quotes_have_their_marks() -> None:
    assert _shown("## Llamas\n- a\n  1. b\n\n     c\n- d\n> e\n\n---") == [
        "Llamas",
        " • a",
        "    1. b",
        "",
        "       c",
        " • d",
        "│ e",
        "",
        "─" * 40,
    ]
    assert _lines("# A\n## B\n### C") == ["\x1b[1;4;35mA\x1b[0m", "\x1b[1;35mB\x1b[0m", "\x1b[1mC\x1b[0m"]


def test_a_link_says_where_it_leads_once() -> None:
    assert _shown("[here](http://a.b) <http://a.b>") == ["here (http://a.b) http://a.b"]
    assert _shown('![Lola](lola.png "at home")') == ["Lola (lola.png, at home)"]


def test_a_table_fits_the_page() -> None:
    assert _shown("|Name|Hums|\n|-|-:|\n|Lola|12|\n|Pedro of the high hills|7|", 20) == [
        "Name            Hums",
        "──────────────  ────",
        "Lola              12",
        "Pedro of the       7",
        "high hills",
    ]


def test_code_can_be_copied_as_it_stands() -> None:
    code = ["def hum():", "    return 'm' * 99  # longer than this page is wide", "", "hum()"]
    lines = _lines("\n".join(["```python", *code, "```"]))
    plain = [re.sub("\x1b\\[[0-9;]*m", "", line) for line in lines]
    assert plain == ["── python ──────────────────────────────", *code, "─" * 40]
    assert "\x1b[35mdef\x1b[0m" in lines[1]
    assert _lines("```klingon\nnuqneH\n```")[1] == "nuqneH"


def test_code_is_printed_line_by_line() -> None:
    document = Document()
    page = Page(40, colour=False)
    document.add("```\none\ntwo\nthr")
    drawn = document.drawn(page)
    assert [line.text for line in drawn.done] == ["─" * 40, "one", "two"]
    assert [line.text for line in drawn.live] == ["thr", "─" * 40]
    document.add("ee\n``")
    drawn = document.drawn(page)
    assert ([line.text for line in drawn.done], [line.text for line in drawn.live]) == (["three"], ["─" * 40])
    document.add("`\n")
    assert document.drawn(page).done == []
    assert [line.text for line in document.rest(page)] == ["─" * 40]


def test_without_colours_there_is_structure() -> None:
    lines = _lines("# A **b**\n`c` *d*\n```python\ndef e(): pass\n```", colour=False)
    assert lines == [
        "\x1b[1;4mA \x1b[0m\x1b[1;4;1mb\x1b[0m",
        "c \x1b[3md\x1b[0m",
        "── python ──────────────────────────────",
        "def e(): pass",
        "─" * 40,
    ]


@pytest.mark.parametrize(
    ("source", "closed"),
    [
        ("**bo", "**bo**"),
        ("**bold*", "**bold**"),
        ("**bold** and", "**bold** and"),
        ("a **", "a "),
        ("5 * 3", "5 * 3"),
        ("a `co", "a `co`"),
        ("**a `b", "**a `b`**"),
        ("*a **b", "*a **b***"),
        ("\\*a", "\\*a"),
        ("`", ""),
    ],
)
def test_what_is_open_is_drawn_as_if_it_were_closed(source: str, closed: str) -> None:
    assert provisionally_closed(source) == closed


def test_what_is_finished_is_written_once_and_a_frame_at_a_time() -> None:
    frames: list[str] = []
    screen = DrawnScreen()
    document, region = Document(), Region(frames.append, screen.size)
    for letter in "One.\n\nTwo\n\n- Three":
        document.add(letter)
        drawn = document.drawn(Page(80, colour=True))
        region.show(drawn.done, drawn.live)
    region.end(document.rest(Page(80, colour=True)))
    assert len(frames) == len("One.\n\nTwo\n\n- Three") + 1
    assert all(frame.startswith("\x1b[?2026h") and frame.endswith("\x1b[?2026l") for frame in frames)
    last_with = [max(index for index, frame in enumerate(frames) if word in frame) for word in ("One.", "Two", "Three")]
    assert last_with[0] < last_with[1] < last_with[2] == len(frames) - 1
    assert sum("One." in frame for frame in frames) == len(".\n\n")


def test_no_more_is_redrawn_than_the_screen_holds() -> None:
    screen = DrawnScreen(20, 5)
    document, region = Document(), Region(screen.write, screen.size)
    document.add("**" + "hum " * 60)
    drawn = document.drawn(Page(20, colour=True))
    region.show(drawn.done, drawn.live)
    assert (drawn.done, screen.lines) == ([], ["hum hum hum hum hum"] * 4)
    region.end(document.rest(Page(20, colour=True)))
    assert screen.lines == ["**hum hum hum hum", *["hum hum hum hum hum"] * 11, "hum"]


def test_what_is_done_survives_a_resize() -> None:
    screen = DrawnScreen(20, 8)
    document, region = Document(), Region(screen.write, screen.size)
    shown = []
    for columns, text in ((20, "One two three four five six\n\nSeven eight nine ten"), (40, " eleven twelve\n\nEnd")):
        screen.resize(columns, 8)
        document.add(text)
        drawn = document.drawn(Page(columns, colour=True))
        region.show(drawn.done, drawn.live)
        shown.append(screen.lines)
    assert shown[0] == ["One two three four", "five six", "", "Seven eight nine ten"]
    assert shown[1] == ["One two three four", "five six", "", "Seven eight nine ten eleven twelve", "", "End"]


def test_control_characters_are_written_out() -> None:
    printable = Printable()
    assert printable.next("a\x1b[2J\tb\x07\x9b\u202e\r") == "a\\x1b[2J\tb\\x07\\x9b\\u202e"
    assert printable.next("\nc\r") == "\nc"
    assert printable.next("d\x00\x7f") == "\\rd\\x00\\x7f"
    assert (printable.next("\r"), printable.rest(), printable.rest()) == ("", "\\r", "")


def test_folded_lines_end_where_a_terminal_would_break_them() -> None:
    assert [line.text for line in Page(4, colour=True).folded([Span("ab cde"), Span("日本", "1")])] == [
        "ab c",
        "de\x1b[1m日\x1b[0m",
        "\x1b[1m本\x1b[0m",
    ]


def test_a_painter_paints_at_once_then_what_came_meanwhile_and_nothing_after_its_end() -> None:
    painted, may_go_on = threading.Semaphore(0), threading.Event()
    pictures = []

    def paint() -> None:
        pictures.append(len(touches))
        painted.release()
        assert may_go_on.wait(10)

    touches: list[int] = []
    painter = Painter(paint, pause_s=0)
    for touch in range(3):
        touches.append(touch)
        painter.touch()
        if touch == 0:
            assert painted.acquire(timeout=10)
    may_go_on.set()
    assert painted.acquire(timeout=10)
    painter.stop()
    painter.touch()
    assert pictures == [1, 3]


def test_a_painter_passes_on_what_went_wrong() -> None:
    failed = threading.Event()

    def paint() -> None:
        failed.set()
        raise OSError("the terminal is gone")

    painter = Painter(paint)
    painter.touch()
    assert failed.wait(10)
    painter.stop()
    with pytest.raises(OSError, match="the terminal is gone"):
        painter.touch()
