"""A background process of the page is started with it, started again if it dies, and ends with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from typing import Final

import structlog

_AGAIN_S: Final = (1.0, 60.0)
log = structlog.get_logger()


class Background:
    """A background process runs a module of ours with the page's process id and these arguments."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._command = (sys.executable, "-m", module, str(os.getpid()), *arguments)
        self._module = module
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._keep_running())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def _keep_running(self) -> None:
        wait_s = _AGAIN_S[0]
        while True:
            self._process = await asyncio.create_subprocess_exec(*self._command)
            code = await self._process.wait()
            log.warning("worker_ended", module=self._module, exit_code=code, again_in_s=wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, _AGAIN_S[1])
