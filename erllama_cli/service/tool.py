"""The program that a service manager is told things with."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from typing import NamedTuple

from erllama_daemon.errors import ServiceRefused


class Tool(NamedTuple):
    """A program, with the words that always follow its name."""

    program: str
    first: tuple[str, ...] = ()

    @property
    def is_there(self) -> bool:
        """Whether the program can be found."""
        return shutil.which(self.program) is not None

    def line(self, *words: str) -> str:
        """What somebody would type."""
        return shlex.join([self.program, *self.first, *words])

    def agrees(self, *words: str) -> bool:
        """Says something, and whether it went well."""
        return self.is_there and not self._run(*words).returncode

    def tell(self, *words: str) -> None:
        """Says something that has to go well. Raises ServiceRefused."""
        if not self.is_there:
            raise ServiceRefused(command=self.line(*words), reason=f"there is no {self.program}")
        done = self._run(*words)
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip() or f"it ended with {done.returncode}").splitlines()[-1]
            raise ServiceRefused(command=self.line(*words), reason=said.rstrip("."))

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, *self.first, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
