"""Writes what is generated from the code: man pages, completions and more. See `generated`.

python scripts/generate_docs.py            write the files, and delete those that nothing generates any more
python scripts/generate_docs.py --check    change nothing; end with 1 and name the files that drifted
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from generated import completions, config_page, errors_page, man_pages, metrics_page, openapi, schemas

ROOT = Path(__file__).parent.parent
GENERATORS = (completions, config_page, errors_page, man_pages, metrics_page, openapi, schemas)


def main() -> None:
    """Write the files, or check them."""
    parser = argparse.ArgumentParser(description="Write what is generated from the code.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a file drifted")
    check = parser.parse_args().check
    wanted = {ROOT / path: text for generator in GENERATORS for path, text in generator.files()}
    drifted = [path for path, text in wanted.items() if not path.is_file() or path.read_text() != text]
    stale = unwanted(wanted)
    if check:
        for path in sorted([*drifted, *stale]):
            print(f"{path.relative_to(ROOT)} is not what the code says; run scripts/generate_docs.py")
        sys.exit(1 if drifted or stale else 0)
    for path in drifted:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path])
    for path in stale:
        path.unlink()


def unwanted(wanted: Mapping[Path, str]) -> list[Path]:
    """The files that nothing generates, in the folders where everything is generated."""
    folders = [ROOT / generator.FOLDER for generator in GENERATORS if hasattr(generator, "FOLDER")]
    return [path for folder in folders for path in folder.glob("*") if path not in wanted]


if __name__ == "__main__":
    main()
