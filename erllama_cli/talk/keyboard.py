"""The keys that are pressed while nobody reads them."""

from __future__ import annotations

import contextlib
import sys
import termios
from collections.abc import Iterator

_INPUT_FLAGS, _LOCAL_FLAGS = 0, 3


@contextlib.contextmanager
def unseen_keys() -> Iterator[None]:
    """What is typed inside, while nobody reads, does not appear among what is printed; the next lines come out of it.

    The keys stay as they were pressed: Enter would otherwise look like Ctrl-J, which only breaks a line.
    """
    try:
        before = termios.tcgetattr(sys.stdin)
    except (OSError, ValueError, termios.error):
        yield
        return
    during = before.copy()
    during[_INPUT_FLAGS] &= ~termios.ICRNL
    during[_LOCAL_FLAGS] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, during)
    try:
        yield
    finally:
        with contextlib.suppress(OSError, termios.error):  # the terminal may be gone
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
