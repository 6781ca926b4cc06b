"""What a job tells, to whoever waits for it."""

import asyncio
from collections.abc import AsyncGenerator

from starlette.requests import Request

from mmke.web.play.worker import Event, Job

LOOK_SECONDS = 0.5
"""Between two looks at whether somebody still waits."""


async def events(request: Request, job: Job) -> AsyncGenerator[Event, None]:
    """Return what a job tells until it ends; where the client goes away, the job is stopped."""
    try:
        while True:
            try:
                event = await asyncio.wait_for(job.events.get(), LOOK_SECONDS)
            except TimeoutError:
                if await request.is_disconnected():
                    return
                continue
            if event is None:
                return
            yield event
    finally:
        job.stopped.set()
