"""What somebody has set, where, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field

from erllama_daemon.config.key import Key, Path, dotted, find, nearest
from erllama_daemon.config.kind import Value
from erllama_daemon.config.literal import as_toml
from erllama_daemon.config.names import NameRefused
from erllama_daemon.messages import Origin


@dataclass(frozen=True, slots=True)
class Given:
    """A key that is set: as it is written in TOML, and the value that this is. `line` is that of the file."""

    path: Path
    key: Key
    written: object
    value: Value
    origin: Origin
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands, in the words of a complaint. `name` is the variable or the option."""

    origin: Origin
    name: str = ""
    line: int | None = None

    def tell(self, path: Path, what: str) -> str:
        """What is wrong with a key here."""
        if self.origin == "file":
            return f"line {self.line}: {dotted(path)}{what}" if self.line else f"{dotted(path)}{what}"
        return f"{self.name}{what}"


@dataclass(slots=True)
class Gathered:
    """All that is set in one place, what is wrong there, and the models that have a table, with their lines."""

    given: list[Given] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    models: dict[str, int | None] = field(default_factory=dict)

    def take(self, path: Path, written: object, place: Place) -> None:
        """One key with what is written for it."""
        node = find(path)
        if not isinstance(node, Key):
            unknown = f": there is no such key{told_nearest(path)}"
            what = unknown if node is None else f": it is a table, not {as_toml(written)}"
            self.problems.append(place.tell(path, what))
            return
        self.take_name(path, place)
        try:
            value = node.kind.of(written)
        except ValueError as error:
            takes = node.takes(bare=place.origin != "file")
            wrong = error.name if isinstance(error, NameRefused) else written
            self.problems.append(place.tell(path, f" {takes}, not {as_toml(wrong)}"))
        else:
            self.given.append(Given(path, node, written, value, place.origin, place.line))

    def take_name(self, path: Path, place: Place) -> None:
        """The name of the user's in a key, if it has one: complains if it can be none."""
        if len(path) < 2 or path[0] not in ("aliases", "models"):
            return
        table, name = path[:2]
        if not name.strip() or "\0" in name:
            self._complain(place.tell(path[:2], ": the name is empty" if not name.strip() else ": no name holds a NUL"))
        elif table == "models":
            if _leads_nowhere(name):
                self._complain(place.tell(path[:2], ": the path of a model must be absolute"))
            self.models.setdefault(name, place.line)

    def _complain(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


def told_nearest(path: Path) -> str:
    """Which key was probably meant, as the end of a sentence."""
    near = nearest(path)
    return "" if near is None else f"; the nearest is {near}"


def _leads_nowhere(name: str) -> bool:
    return not name.startswith("/") and (name.startswith((".", "~")) or name.endswith(".gguf"))
