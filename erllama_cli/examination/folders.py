"""The folders: whose they are, who else can look into them, and on which disk they lie."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from erllama_cli.results.doctor import Check
from erllama_daemon.directories import Directories

MOUNTS = Path("/proc/self/mountinfo")

_REMOTE = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|9p|afs|ceph|glusterfs|lustre|fuse\.(?:sshfs|rclone|gvfsd-fuse|glusterfs)"
)
_OCTAL = re.compile(r"\\([0-7]{3})")
_OTHERS = 0o077


def examine(directories: Directories) -> Iterator[Check]:
    """Each folder, with the files of ours in it that hold what was said."""
    yield _examined("data folder", directories.data, "XDG_DATA_HOME", _files(directories.sessions))
    yield _examined("cache folder", directories.cache, "XDG_CACHE_HOME", _files(directories.cache / "index.sqlite3"))
    yield _examined("runtime folder", directories.runtime, "XDG_RUNTIME_DIR", [directories.socket])
    yield _examined("log folder", directories.log, "XDG_STATE_HOME", [directories.daemon_log])
    yield _examined("config folder", directories.config, "XDG_CONFIG_HOME", [], may_be_read=True)


def _files(database: Path) -> list[Path]:
    return [database.with_name(database.name + end) for end in ("", "-wal", "-shm")]


def _examined(name: str, folder: Path, variable: str, files: list[Path], *, may_be_read: bool = False) -> Check:
    if not folder.exists():
        return _missing(name, folder, variable)
    if not folder.is_dir():
        return Check(name, "failed", f"{folder} is no folder", f"Move it away, or set {variable} to another place.")
    owned = [path for path in (folder, *files) if path.exists()]
    if strangers := [path for path in owned if path.stat().st_uid != os.getuid()]:
        remedy = f"Make them yours: sudo chown -R {os.getuid()} {shlex.quote(str(folder))}"
        return Check(name, "failed", f"{_listed(strangers)} belongs to another user", remedy)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        remedy = f"Allow yourself: chmod u+rwx {shlex.quote(str(folder))}"
        return Check(name, "failed", f"{folder} cannot be written to", remedy)
    if open_to_others := [] if may_be_read else [path for path in owned if _mode(path) & _OTHERS]:
        remedy = f"Close it: chmod go= {shlex.join(map(str, open_to_others))}"
        return Check(name, "failed", f"others can get at {_listed(open_to_others)}", remedy)
    if (kind := _remote_kind(folder)) is not None:
        remedy = f"Set {variable} to a folder on a disk of this machine."
        return Check(name, "warning", f"{folder} is on a {kind} file system, where locks may not hold", remedy)
    return Check(name, "ok", str(folder))


def _missing(name: str, folder: Path, variable: str) -> Check:
    above = next(parent for parent in folder.absolute().parents if parent.exists())
    if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
        return Check(name, "ok", f"{folder} will be made when it is needed")
    remedy = f"Allow yourself to write to {above}, or set {variable} to another place."
    return Check(name, "failed", f"{folder} cannot be made", remedy)


def _listed(paths: list[Path]) -> str:
    return ", ".join(f"{path} ({_mode(path):04o})" for path in paths)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _remote_kind(folder: Path) -> str | None:
    """The kind of the file system, if it is another machine's; None also where the system does not tell."""
    try:
        lines = MOUNTS.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return None
    place, found = folder.resolve(), (0, "")
    for line in lines:
        fields, _, source = line.partition(" - ")
        point = Path(_OCTAL.sub(lambda octal: chr(int(octal[1], 8)), fields.split()[4]))
        if place.is_relative_to(point):
            # Of several at one place, the last one mounted is what is seen.
            found = max(found, (len(point.parts), source.split()[0]), key=lambda mount: mount[0])
    kind = found[1]
    return kind if _REMOTE.fullmatch(kind) else None
