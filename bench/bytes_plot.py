"""A drawing of what a chat writes. The same figures give the same file, byte for byte."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from long_chat import ChatBytes

matplotlib.use("svg")

from matplotlib import pyplot

GB = 1_000_000_000


def draw_bytes(chat: ChatBytes, path: Path) -> None:
    """Writes an SVG with both lines, on linear axes: how they grow is the point."""
    style = {"svg.hashsalt": "erllama", "svg.fonttype": "none", "axes.spines.top": False, "axes.spines.right": False}
    with pyplot.rc_context(style):
        figure, axes = pyplot.subplots(figsize=(7.2, 3.6), layout="constrained")
        for label, values, color in (
            ("a snapshot of the whole chat at each turn", chat.snapshots, "#b3472d"),
            ("blocks, as erllama writes them", chat.written, "#1f6f6b"),
        ):
            axes.plot(chat.tokens, [value / GB for value in values], color=color, marker=".", label=label)
            last = (chat.tokens[-1], values[-1] / GB)
            axes.annotate(f" {last[1]:.2f} GB", last, color=color, verticalalignment="center", annotation_clip=False)
        axes.set_xlabel(f"tokens in the chat, one point a turn, {len(chat.tokens)} turns")
        axes.set_ylabel("GB written in all")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, loc="upper left")
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        pyplot.close(figure)
