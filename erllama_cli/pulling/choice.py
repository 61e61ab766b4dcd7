"""Which files of a repository are the model that was asked for."""

from __future__ import annotations

from pathlib import Path

from erllama_cache.model.parts import parts_of
from erllama_cli.pulling.hub import RemoteFile, Repository
from erllama_daemon.catalog.gguf_files import PREFERRED_TAGS, is_model_file, repository_models
from erllama_daemon.catalog.hugging_face import STORE
from erllama_daemon.catalog.naming import meant, split_tag
from erllama_daemon.catalog.stored_model import StoredModel
from erllama_daemon.errors import QuantizationAmbiguous, QuantizationUnknown


def chosen_files(repository: Repository, tag: str | None) -> tuple[str, list[RemoteFile]]:
    """The model's name and its files, the first part first.

    Without a tag, the usual quantization or the only one. Raises QuantizationUnknown and QuantizationAmbiguous.
    """
    files = {file.name: file for file in repository.files}
    names = sorted(name for name in files if is_model_file(Path(name).name))
    models = repository_models(STORE, repository.name, [Path(name) for name in names])
    model = _chosen(repository.name, models, tag)
    parts = [part.as_posix() for part in parts_of(model.path)]
    missing = next((part for part in parts if part not in files), None)
    if missing is not None:
        raise QuantizationUnknown(repository=repository.name, wanted=missing, there=", ".join(names))
    return model.name, [files[part] for part in parts]


def _chosen(repository: str, models: list[StoredModel], tag: str | None) -> StoredModel:
    there = [each.tags[0] if each.tags else each.path.name for each in models]
    if tag is not None:
        found = meant(f"{repository}:{tag}", models)
        if len(found) == 1:
            return found[0]
    elif len(models) == 1:
        return models[0]
    else:
        usual = [each for each in models if each.is_default and each.tags and each.tags[0] in PREFERRED_TAGS]
        if usual:
            return usual[0]
        if models:
            example = f"{repository}:{there[0]}"
            raise QuantizationAmbiguous(repository=repository, there=", ".join(there), example=example)
    wanted = "GGUF file" if tag is None else tag
    raise QuantizationUnknown(repository=repository, wanted=wanted, there=", ".join(there) or "no GGUF file")


def repository_and_tag(name: str) -> tuple[str, str | None]:
    """REPO[:QUANT] as its two halves."""
    return split_tag(name)
