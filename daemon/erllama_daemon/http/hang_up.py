"""A client that goes away before it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.requests import Request


@asynccontextmanager
async def cancelled_if_gone(request: Request, cancel: Callable[[], None]) -> AsyncIterator[None]:
    """Calls `cancel`, which is idempotent, if the client goes away meanwhile or what is done meanwhile fails.

    The request's body has been read. A stream listens for itself: what is done for it before it begins is done in here.
    """
    watching = asyncio.create_task(_until_gone(request, cancel))
    try:
        yield
    except BaseException:
        cancel()
        raise
    finally:
        watching.cancel()


async def _until_gone(request: Request, cancel: Callable[[], None]) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    cancel()
