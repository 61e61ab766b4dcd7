"""The completions and the manual: whether they lie where this user's shell and `man` look."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from erllama_cli.results.doctor import Check
from erllama_daemon.directories import Directories

_SHARES = "/usr/local/share:/usr/share"


def examine(_directories: Directories) -> Iterator[Check]:
    """The completions of the login shell, and the manual."""
    yield _completions()
    yield _manual()


def _completions() -> Check:
    shell = Path(os.environ.get("SHELL", "")).name
    places = _places(shell)
    if not places:
        known = "bash, zsh and fish"
        return Check("completions", "ok", f"there are some for {known}, and the shell is {shell or 'not known'}")
    for place in places:
        if place.is_file():
            return Check("completions", "ok", f"{shell} finds {place}")
    remedy = f"Install them: erllama --install-completion {shell}"
    return Check("completions", "warning", f"{shell} finds none", remedy)


def _places(shell: str) -> list[Path]:
    """Where a shell looks, or is told to look by what `--install-completion` writes."""
    home = Path.home()
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    shares = [Path(share) for share in (os.environ.get("XDG_DATA_DIRS") or _SHARES).split(":") if share]
    if shell == "bash":
        own = [home / ".bash_completions" / "erllama.sh"]
        return [*own, *(share / "bash-completion/completions/erllama" for share in (data, *shares, *_beside_bash()))]
    if shell == "zsh":
        named = [Path(folder) for folder in os.environ.get("FPATH", "").split(":") if folder]
        common = [share / "zsh/site-functions" for share in shares]
        return [folder / "_erllama" for folder in (home / ".zfunc", *named, *common)]
    if shell == "fish":
        vendors = [share / "fish/vendor_completions.d" for share in (data, *shares)]
        return [folder / "erllama.fish" for folder in (config / "fish/completions", *vendors)]
    return []


def _beside_bash() -> list[Path]:
    """bash-completion also looks beside the folders of PATH that a command is in, where it is 2.12 or newer."""
    command = shutil.which("erllama")
    return [] if command is None else [Path(command).resolve().parent.parent / "share"]


def _manual() -> Check:
    if shutil.which("man") is None:
        return Check("manual", "ok", "there is no man on this machine; erllama COMMAND --help says the same")
    done = subprocess.run(
        ["man", "-w", "erllama"],  # noqa: S607 - the user's own
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if not done.returncode and done.stdout.strip():
        return Check("manual", "ok", f"man finds {done.stdout.splitlines()[0]}")
    pages = Path(sys.prefix) / "share" / "man"
    remedy = f'Show man where it is: export MANPATH="{pages}:"' if pages.is_dir() else None
    return Check("manual", "warning", "man does not find erllama(1); erllama COMMAND --help says the same", remedy)
