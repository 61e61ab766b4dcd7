"""Which files a request on TCP may name."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from erllama_daemon.directories import user_directories
from erllama_daemon.errors import FileOutside, ModelMissing, ModelUnknown
from erllama_daemon.http.door import ENTERED, Entered
from erllama_daemon.http.model_file import check_adapter_files, model_file
from erllama_daemon.messages import AdapterChoice


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder that clients on TCP may name files in; beside it is a secret, to which links lead."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "a.gguf").write_bytes(b"")
    (tmp_path / "secret").write_bytes(b"")
    (folder / "link.gguf").symlink_to(tmp_path / "secret")
    (folder / "up").symlink_to(tmp_path)
    (tmp_path / "models-not").mkdir()
    (tmp_path / "models-not" / "b.gguf").write_bytes(b"")
    return folder


def found(name: str, folders: tuple[str, ...] | None) -> Path:
    async def look() -> Path:
        ENTERED.set(Entered("unix" if folders is None else "tcp", folders))
        return await model_file(name)

    return asyncio.run(look())


def check(adapter: Path, folders: tuple[str, ...] | None) -> None:
    async def look() -> None:
        ENTERED.set(Entered("unix" if folders is None else "tcp", folders))
        await check_adapter_files([AdapterChoice(str(adapter))])

    asyncio.run(look())


def outside(folder: Path) -> list[str]:
    return [
        "/etc/passwd",
        str(folder.parent / "secret"),
        f"{folder}/../secret",
        f"{folder}/./../secret",
        str(folder / "link.gguf"),
        str(folder / "up" / "secret"),
        str(folder.parent / "models-not" / "b.gguf"),
        f"/{folder}/../secret",
        f"{folder}/a.gguf\0",
    ]


def test_a_path_is_found_in_the_folders_that_are_configured_and_nowhere_else(folder: Path) -> None:
    folders = (str(folder),)
    assert found(str(folder / "a.gguf"), folders) == folder / "a.gguf"
    check(folder / "a.gguf", folders)
    for path in outside(folder):
        with pytest.raises(FileOutside):
            found(path, folders)
        with pytest.raises(FileOutside):
            check(Path(path), folders)
    with pytest.raises(FileOutside):
        found(str(folder / "a.gguf"), ())
    with pytest.raises(ModelMissing):
        found(str(folder / "nowhere.gguf"), folders)


def test_what_is_outside_is_not_even_looked_at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    real = os.path.realpath

    def look(path: str) -> str:
        looked.append(path)
        return real(path)

    monkeypatch.setattr(os.path, "realpath", look)
    for path in ("/etc/passwd", f"{folder}/../secret"):
        with pytest.raises(FileOutside):
            found(path, (str(folder),))
    assert not looked


def test_at_the_owners_socket_any_path_is_found(folder: Path) -> None:
    assert found(str(folder.parent / "secret"), None) == folder.parent / "secret"
    check(folder.parent / "secret", None)


@pytest.mark.parametrize("name", ["../secret", "~/secret", "../../etc/passwd", "hf.co/../../secret:latest", "./a.gguf"])
def test_a_name_is_looked_for_among_the_models_there_are_and_is_never_a_path(name: str, folder: Path) -> None:
    with pytest.raises(ModelUnknown):
        found(name, (str(folder),))


def test_an_alias_leads_wherever_the_owner_says(folder: Path) -> None:
    config = user_directories().config_file
    config.parent.mkdir(parents=True)
    config.write_text(f'[aliases]\nmine = "{folder.parent / "secret"}"\n')
    assert found("mine", ()) == folder.parent / "secret"
