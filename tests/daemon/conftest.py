"""What the tests of the daemon share: a house for its supervisor."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from daemon.house import Story, Tell, house_in


@pytest.fixture
def tell(tmp_path: Path) -> Tell:
    """Runs a story in a house of its own."""

    async def run(story: Story, **settings: Any) -> None:
        async with house_in(tmp_path, **settings) as house:
            await asyncio.wait_for(story(house), 60)

    return lambda story, **settings: asyncio.run(run(story, **settings))
