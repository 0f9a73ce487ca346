"""Waiting with a limit."""
import asyncio


async def within(what, seconds):
    """What `what` returns; TimeoutError after so many seconds (None: no limit).

    Not asyncio.wait_for(): before Python 3.12 that loses a cancellation which comes in the moment in which `what` ends,
    and a loop around it then never ends.
    """
    async with asyncio.timeout(seconds):
        return await what
