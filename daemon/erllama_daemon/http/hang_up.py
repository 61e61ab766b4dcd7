"""A client that goes away before it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

_Found = TypeVar("_Found")


@asynccontextmanager
async def cancelled_if_gone(request: Request, cancel: Callable[[], None]) -> AsyncIterator[None]:
    """Calls `cancel`, which is idempotent, if the client goes away meanwhile or what is done meanwhile fails.

    Raises ClientDisconnect, which nobody hears, for what fails because the client is gone. The request's body
    has been read. A stream listens for itself: what is done for it before it begins is done in here.
    """
    watching = asyncio.create_task(_until_gone(request, cancel))
    try:
        yield
    except BaseException as error:
        cancel()
        if isinstance(error, Exception) and watching.done():
            raise ClientDisconnect from error
        raise
    finally:
        watching.cancel()


async def unless_gone(request: Request, work: Coroutine[Any, Any, _Found]) -> _Found:
    """What comes of some work, which is cancelled as soon as the client hangs up. The request's body has been read.

    Returns when the work has ended, also a cancelled one: what it lets go of is gone then. Raises ClientDisconnect,
    which nobody hears, and what the work raises.
    """
    doing = asyncio.create_task(work)
    leaving = asyncio.create_task(_until_gone(request, lambda: None))
    try:
        await asyncio.wait((doing, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            doing.cancel()
            await asyncio.wait((doing,))
            raise ClientDisconnect
        return await doing
    finally:
        doing.cancel()
        leaving.cancel()
        await asyncio.gather(doing, leaving, return_exceptions=True)


async def _until_gone(request: Request, cancel: Callable[[], None]) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    cancel()
