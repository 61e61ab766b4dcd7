"""The roots of the cache, and what lies below each, as a tree."""

from __future__ import annotations

from collections import Counter

from erllama_cli.cache.contents import Contents
from erllama_cli.cache.node import nodes, pruned
from erllama_cli.cache.root_words import root_words
from erllama_cli.drawing.tree import Branch, Line, dot, print_branch, print_line
from erllama_cli.one_line import one_line, told_apart
from erllama_cli.output import counted, readable_bytes
from erllama_cli.results.cache import CacheTree, Node, Root


def roots(contents: Contents, depth: int | None) -> list[Root]:
    """All roots, the one used last first. Below each, no more than `depth` nodes follow one another."""
    sizes: Counter[bytes] = Counter()
    for row in contents.survey.rows.values():
        sizes[row.root] += row.file_bytes
    words = root_words(contents.survey.roots, contents.survey.origins)
    return [
        Root(
            root=root.hex(),
            words=words[root],
            model=contents.model(root),
            blocks=sum(child.blocks + child.blocks_below for child in children),
            bytes=sizes[root],
            carried=sum(child.carried for child in children),
            children=[pruned(child, depth) for child in children] if depth else children,
        )
        for root, children in sorted(nodes(contents).items(), key=lambda found: (-found[1][0].used, found[0]))
    ]


def print_roots(shown: CacheTree, contents: Contents) -> None:
    """Draw what `roots` made of these contents."""
    blocks, size = sum(root.blocks for root in shown.roots), sum(root.bytes for root in shown.roots)
    print_line(Line(shown.path, _held(blocks, size), whole=True))
    for root in shown.roots:
        print()
        figures = [*_held(root.blocks, root.bytes), *_carries(root.carried)]
        line = Line(dot().join(root.words), figures, whole=True, style="bold")
        print_branch(Branch(line, _branches(root.children, contents, under=False)))


def _branches(siblings: list[Node], contents: Contents, *, under: bool) -> list[Branch]:
    texts = told_apart([one_line(node.label) for node in siblings])
    return [_branch(node, text, contents, under=under) for node, text in zip(siblings, texts, strict=True)]


def _branch(node: Node, text: str, contents: Contents, *, under: bool) -> Branch:
    chats = [Branch(Line(f"chat {chat.id}  {one_line(chat.title)}", style="cyan")) for chat in node.chats]
    below = _branches(node.children, contents, under=True)
    if node.blocks_below and not node.children:
        below = [Branch(Line(f"({counted(node.blocks_below, 'block')} further on)", style="dim"))]
    figures = [
        f"+{node.tokens:,} = {counted(node.end, 'token')}" if under else counted(node.tokens, "token"),
        *(["what it extends is gone"] if node.start and not under else []),
        *(["pinned"] if node.pinned else []),
        *(_carries(node.carried) if node.blocks_below else []),
        readable_bytes(node.bytes),
        counted(node.hits, "hit"),
        node.key[: contents.key_digits],
    ]
    return Branch(Line(text or "(no text)", figures), [*chats, *below])


def _held(blocks: int, size: int) -> list[str]:
    return [counted(blocks, "block"), readable_bytes(size)]


def _carries(chats: int) -> list[str]:
    return [f"carries {counted(chats, 'chat')}"] if chats else []
