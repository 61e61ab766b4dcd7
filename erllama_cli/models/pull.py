"""`erllama models pull`: a model from Hugging Face's hub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from erllama_cli import options
from erllama_cli.failures import reported_failures
from erllama_cli.output import print_json, readable_bytes

if TYPE_CHECKING:
    from erllama_cli.results.models import Pulled

EXAMPLES = """\b
Examples:
  erllama models pull ggml-org/gemma-3-1b-it-GGUF
  erllama models pull Qwen/Qwen3-4B-GGUF:Q8_0 && erllama chat Qwen/Qwen3-4B-GGUF:Q8_0"""


def pull(
    repository: Annotated[
        str,
        typer.Argument(
            metavar="REPO[:QUANT]",
            help="The repository, and which quantization of it: Q4_K_M, if that is there and none is named.",
        ),
    ],
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Fetch a model from a hub into the cache of Hugging Face.

    Other programs find it there too. What breaks off, by Ctrl-C too, goes on from there the next time. Each file's
    checksum is compared with the hub's. HF_ENDPOINT names another hub, and HF_HOME another place for the cache.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.question import valid_text

        pulled = _pulled(valid_text(repository, "the repository's name"), shown=not (as_json or quiet))
        if as_json:
            print_json(pulled)
        elif not quiet:
            verb = "pulled" if pulled.fetched_bytes else "already there"
            print(f"{verb}: {pulled.name} ({readable_bytes(pulled.bytes)})")


def _pulled(name: str, *, shown: bool) -> Pulled:
    import os

    from erllama_cli.pulling.choice import chosen_files, repository_and_tag
    from erllama_cli.pulling.download import CachedRepository
    from erllama_cli.pulling.hub import Hub
    from erllama_cli.pulling.progress import Fetching
    from erllama_cli.results.models import Pulled
    from erllama_daemon.catalog import hugging_face

    hub, (wanted, tag) = Hub(), repository_and_tag(name)
    found = hub.repository(wanted)
    called, files = chosen_files(found, tag)
    cached = CachedRepository(hugging_face.folders(os.environ)[0], found)
    size, fetched, paths = sum(file.bytes for file in files), 0, []
    with Fetching(called, size, shown=shown) as fetching:
        for file in files:
            path, new = cached.fetch(hub, file, fetching.came)
            fetching.ended(file.bytes)
            fetched += new
            paths.append(path)
    cached.remember_branch()
    return Pulled(name=called, path=str(paths[0]), bytes=size, fetched_bytes=fetched)
