import subprocess
import sys
from pathlib import Path

from models import REAL, model_file

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "remember.py"


def test_the_example_reads_nothing_the_second_time_and_has_the_same_logits(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text((ROOT / "LICENSE").read_text())

    def remember() -> tuple[str, str]:
        command = [sys.executable, str(EXAMPLE), str(model_file(REAL, tmp_path)), str(text), str(tmp_path / "cache")]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        read, logits = done.stdout.strip().split(" read; logits ")
        return read, logits

    (cold, cold_logits), (warm, warm_logits) = remember(), remember()
    total = cold.split()[0]
    assert (cold, warm) == (f"{total} of {total} tokens", f"0 of {total} tokens")
    assert int(total) > 0
    assert warm_logits == cold_logits


def test_the_example_refuses_a_text_that_does_not_fit(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("llama " * 9000)
    command = [sys.executable, str(EXAMPLE), str(model_file(REAL, tmp_path)), str(text), str(tmp_path / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (1, "the text is empty, or has more than 8,192 tokens\n")


def test_the_example_is_about_forty_lines_long() -> None:
    code = EXAMPLE.read_text().split('"""')[2]
    lines = [line for line in code.splitlines() if line.strip() and not line.strip().startswith("#")]
    assert len(lines) <= 50
