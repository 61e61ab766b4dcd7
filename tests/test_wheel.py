"""What a wheel puts where shells and `man` look."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from zipfile import ZipFile

import pytest
from hatchling.builders.wheel import WheelBuilder
from programs import program

ROOT = Path(__file__).parents[1]
PLACES = {
    "completions/erllama.bash": "bash-completion/completions/erllama",
    "completions/_erllama": "zsh/site-functions/_erllama",
    "completions/erllama.fish": "fish/vendor_completions.d/erllama.fish",
    **{f"man/{page.name}": f"man/man1/{page.name}" for page in (ROOT / "man").glob("*")},
}


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `share` as pip makes it below the prefix."""
    folder = tmp_path_factory.mktemp("wheel")
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with ZipFile(wheel) as opened:
        names = [name for name in opened.namelist() if ".data/" in name]
        opened.extractall(folder, names)
    (data,) = folder.glob("*.data/data/share")
    return data


def test_completions_and_pages_are_where_they_are_looked_for_and_nothing_else_is(share: Path) -> None:
    found = {str(path.relative_to(share)) for path in share.rglob("*") if path.is_file()}
    assert found == set(PLACES.values())
    for source, place in PLACES.items():
        assert (share / place).read_bytes() == (ROOT / source).read_bytes()


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        (["erllama"], "erllama - give a local language model a memory"),
        (["erllama", "cache"], "erllama-cache - "),
        (["erllama-run"], "erllama-run - print one answer"),
    ],
)
def test_man_finds_the_pages_of_an_installed_wheel(share: Path, words: list[str], begins: str) -> None:
    done = subprocess.run(
        [program("man"), *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "MANPATH": str(share / "man"), "MANPAGER": "cat", "LC_ALL": "C.UTF-8", "MANWIDTH": "80"},
    )
    assert done.stderr == ""
    assert f"NAME\n       {begins}" in done.stdout
