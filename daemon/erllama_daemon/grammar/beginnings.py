"""How the rules of a GBNF grammar can begin."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from erllama_daemon.grammar.rule import MAX_NESTING, Element, GbnfError, Rules, shown

MAX_CHOICES = 2000
"""How many ways there may be to go on at one place; each costs about 0.2 ms a token."""

MAX_LEAPS = 2_000
"""How many ways there may be, over all places of a sequence, to go on from there: llama.cpp walks them in each step."""

MAX_PATHS = 200_000
"""How many ways llama.cpp may have to walk to look for left recursion."""


class Beginnings:
    """How the rules of a grammar can begin: llama.cpp follows every way at once."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._empty = _rules_that_may_be_empty(rules)
        self._choices: dict[str, int] = {}
        self._paths: dict[str, int] = {}

    def check(self) -> None:
        """Raises GbnfError for left recursion, and for more choices or paths than can be followed."""
        for name in self._rules:
            if name not in self._choices:
                self._walk(name)
            if any(self._leaps(alternative) > MAX_LEAPS for alternative in self._rules[name]):
                raise GbnfError(f"rule {shown(name)} leaves out too much: it goes on in too many ways")
        if sum(self._paths.values()) > MAX_PATHS:
            raise GbnfError("its rules begin with each other in too many ways")
        widest = max(self._choices, key=self._choices.__getitem__)
        if self._choices[widest] > MAX_CHOICES:
            raise GbnfError(f"rule {shown(widest)} can begin in more than {MAX_CHOICES:,} ways")

    def _walk(self, start: str) -> None:
        trail = [start]
        pending = {start: self._first_rules(start)}
        while trail:
            following = next(pending[trail[-1]], None)
            if following is None:
                self._finish(trail.pop())
            elif following in self._choices:
                continue
            elif following in pending:
                raise GbnfError(f"rule {shown(following)} begins with itself (left recursion)")
            elif len(trail) >= MAX_NESTING:
                raise GbnfError(f"rules begin with each other more than {MAX_NESTING:,} deep")
            else:
                trail.append(following)
                pending[following] = self._first_rules(following)

    def _finish(self, name: str) -> None:
        choices, paths = 0, 1
        for alternative in self._rules[name]:
            choices += not alternative
            for element in self._first_elements(alternative):
                copies = element.copies if element.has_optional_copies or element.rule in self._empty else 1
                choices += copies * (1 if element.rule is None else self._choices[element.rule])
                paths += copies * (0 if element.rule is None else self._paths[element.rule])
        self._choices[name], self._paths[name] = choices, paths

    def _leaps(self, alternative: list[Element]) -> int:
        """How many parts that may be left out follow each part, all together."""
        following = leaps = 0
        for element in reversed(alternative):
            leaps += following
            following = following + 1 if self._may_be_empty(element) else 0
        return leaps

    def _first_rules(self, name: str) -> Iterator[str]:
        for alternative in self._rules[name]:
            for element in self._first_elements(alternative):
                if element.rule is not None:
                    yield element.rule

    def _first_elements(self, alternative: list[Element]) -> Iterator[Element]:
        for element in alternative:
            yield element
            if not self._may_be_empty(element):
                return

    def _may_be_empty(self, element: Element) -> bool:
        return element.is_optional or element.rule in self._empty


def _rules_that_may_be_empty(rules: Rules) -> set[str]:
    """Found by counting down, in each alternative, the rules that are not yet known to be empty."""
    empty: set[str] = set()
    users: defaultdict[str, list[tuple[str, Counter[str]]]] = defaultdict(list)
    found: list[str] = []
    for name, alternatives in rules.items():
        for alternative in alternatives:
            needed = [element for element in alternative if not element.is_optional]
            if any(element.rule is None for element in needed):
                continue
            waiting = Counter(element.rule for element in needed if element.rule is not None)
            if not waiting:
                found.append(name)
            for rule in waiting:
                users[rule].append((name, waiting))
    while found:
        name = found.pop()
        if name in empty:
            continue
        empty.add(name)
        for user, waiting in users[name]:
            del waiting[name]
            if not waiting:
                found.append(user)
    return empty
