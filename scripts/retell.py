"""Runs the transcripts of a page again, and writes down what they show now.

python scripts/retell.py docs/tour.md README.md
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from transcripts import fresh_home, retold, run  # noqa: E402

FILES = [ROOT / "LICENSE"]


def main() -> None:
    """Rewrite the pages."""
    parser = argparse.ArgumentParser(description="Run the transcripts of pages again, and write them down.")
    parser.add_argument("pages", nargs="+", type=Path, metavar="PAGE")
    for page in [path.absolute() for path in parser.parse_args().pages]:
        with fresh_home(FILES) as (home, folder):
            page.write_text(retold(page.read_text(), run(page.read_text(), home, folder)))


if __name__ == "__main__":
    main()
