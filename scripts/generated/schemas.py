"""docs/schema: what each command prints under `--json`, as JSON Schema, from the types that it prints."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from erllama_cli.commands import each_command
from erllama_cli.results.failure import FailureReport
from erllama_cli.results.printed import LINES, PRINTED, WITHOUT_JSON

FOLDER = Path("docs/schema")
DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]

INTRODUCTION = """\
# What `--json` prints

`--json` on every command prints one object on one line of standard output, and each is described here by a
[JSON Schema]({dialect}) (draft 2020-12), which is generated from
the type that the command prints. Every field that a schema names is always there; what does not apply is `null` or
empty. A later version may add fields, and takes none away without saying so in the changelog: a reader should pass over
what it does not know.

When a command fails, it prints [error.json](error.json) instead, and its exit code is the `exit_code` in it. Commands
that take several things in turn and go on after one that fails (`cache warm`, `sessions import`, `sessions rm`) print
their own object, with what failed in it.

```sh
erllama run demo --json "Why do llamas hum?" | check-jsonschema --schemafile docs/schema/run.json -
```
"""


def files() -> Iterator[tuple[Path, str]]:
    """Each file, from the root of the project, and what belongs into it."""
    yield FOLDER / "README.md", index()
    failure = schema("erllama … --json", "What is printed instead when a command fails.", [FailureReport])
    yield FOLDER / "error.json", as_text(failure)
    for words, summary in each_command():
        if words in PRINTED:
            yield schema_file(words), as_text(schema(f"erllama {words} --json", summary, PRINTED[words]))


def schema_file(words: str) -> Path:
    """Where the schema of a command stands, which is called by these words."""
    return FOLDER / f"{words.replace(' ', '-')}.json"


def schema(title: str, description: str, types: Sequence[type[msgspec.Struct]]) -> Schema:
    """The schema of an object that is of one of these types."""
    references, definitions = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    named = {found.__name__: found for found in structs_of(types)}
    head: Schema = {"$schema": DIALECT, "title": title, "description": description}
    body = references[0] if len(references) == 1 else {"anyOf": list(references)}
    return head | body | {"$defs": {name: always_there(each, named.get(name)) for name, each in definitions.items()}}


def structs_of(types: Sequence[type[msgspec.Struct]]) -> Iterator[type[msgspec.Struct]]:
    """These types and those that they are made of."""
    seen: set[type] = set()

    def walk(found: object) -> Iterator[type[msgspec.Struct]]:
        if isinstance(found, msgspec.inspect.StructType):
            if found.cls in seen:
                return
            seen.add(found.cls)
            yield found.cls
            for field in found.fields:
                yield from walk(field.type)
        elif isinstance(found, msgspec.inspect.Type):
            for name in found.__struct_fields__:
                value = getattr(found, name)
                for each in value if isinstance(value, tuple) else (value,):
                    yield from walk(each)

    for each in msgspec.inspect.multi_type_info(types):
        yield from walk(each)


def always_there(definition: Schema, struct: type[msgspec.Struct] | None) -> Schema:
    """What is read may lack a field that has a default; what is printed does only if its struct says so."""
    if struct is None:
        return definition
    if struct.__struct_config__.omit_defaults:
        return definition | {"description": " ".join((inspect.getdoc(struct) or "").split())}
    properties = {
        name: {key: value for key, value in each.items() if key != "default"}
        for name, each in definition["properties"].items()
    }
    described = {"description": " ".join((inspect.getdoc(struct) or "").split())}
    return definition | described | {"properties": properties, "required": list(properties)}


def as_text(found: Mapping[str, Any]) -> str:
    """A schema as it stands in its file."""
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def index() -> str:
    """The page that lists the schemas."""
    rows = ["", "| command | its object | |", "|---|---|---|"]
    for words, _summary in each_command():
        if words in PRINTED:
            types = " or ".join(f"`{each.__name__}`" for each in PRINTED[words])
            rows.append(f"| [`erllama {words}`]({schema_file(words).name}) | {types} | {LINES.get(words, '')} |")
        else:
            rows.append(f"| `erllama {words}` | none | {WITHOUT_JSON[words]} |")
    return INTRODUCTION.format(dialect=DIALECT) + "\n".join(rows) + "\n"
