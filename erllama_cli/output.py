"""How results look: one JSON object, tables for people, plain columns for pipes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from erllama_cli.drawing.screen import can_draw, may_colour

if TYPE_CHECKING:
    import msgspec


class Table(NamedTuple):
    """Rows under a header. `numeric` names the columns that hold numbers."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[str] = frozenset()


def print_json(result: msgspec.Struct) -> None:
    """`result` as one JSON object on a line of its own, at once. Raises what `write_text` raises."""
    import msgspec

    write_text(msgspec.json.encode(result).decode() + "\n")


def write_text(text: str) -> None:
    """`text` as it stands, to stdout at once. Raises OutputFailed; a reader that left is a BrokenPipeError."""
    if sys.stdout is None:
        if not text:
            return
        from erllama_daemon.errors import OutputFailed

        raise OutputFailed(reason="standard output is closed")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        from erllama_daemon.errors import OutputFailed

        raise OutputFailed(reason=error.strerror or error) from error


def flush_output() -> None:
    """Have all that was printed on its way. Raises what `write_text` raises."""
    write_text("")


def write_whole_text(text: str) -> None:
    """`text` as it stands; a terminal obeys nothing of it, and the shell's prompt gets a line of its own."""
    if sys.stdout is not None and sys.stdout.isatty():
        from erllama_cli.drawing.printable import printable

        text = printable(text if text.endswith("\n") else f"{text}\n")
    write_text(text)


def dimmed(text: str) -> str:
    """`text` in faint letters, if stderr is a terminal that may show them."""
    if not (may_colour() and can_draw(sys.stderr)):
        return text
    return f"\x1b[2m{text}\x1b[0m"


def print_table(table: Table) -> None:
    """`table` drawn for a terminal, or as aligned plain text for a pipe. A row is a line, whatever its cells hold.

    Raises what `write_text` raises.
    """
    table = table._replace(rows=[[_cell(text) for text in row] for row in table.rows])
    if sys.stdout is not None and sys.stdout.isatty():
        from erllama_cli.drawing.listing import listing

        write_text(listing(table))
    else:
        write_text(_plain(table))


def readable_bytes(count: int) -> str:
    """`count` bytes as people say it: 512 B, 5.9 MiB, 1.0 GiB."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def readable_seconds(seconds: float) -> str:
    """A duration as people say it: 42 s, 5 min, 3 h 20 min, 2 d 4 h."""
    minutes, hours = divmod(int(seconds), 60)[0], int(seconds) // 3600
    if seconds < 60:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if hours < 24:
        return f"{hours} h {minutes % 60} min"
    return f"{hours // 24} d {hours % 24} h"


def counted(count: int, noun: str) -> str:
    """So many of something: 1 block, 1,204 blocks."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _cell(text: str) -> str:
    """A text in which nothing ends the line, or tells a terminal anything."""
    if text.isprintable():
        return text
    from erllama_cli.drawing.printable import printable

    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def _plain(table: Table) -> str:
    lines = [table.header, *table.rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.header))]
    aligned = (
        [
            cell.rjust(width) if name in table.numeric else cell.ljust(width)
            for name, cell, width in zip(table.header, line, widths, strict=True)
        ]
        for line in lines
    )
    return "".join(f"{'  '.join(cells).rstrip()}\n" for cells in aligned)
