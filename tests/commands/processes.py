"""Runs commands as processes, and asks the daemon over HTTP."""

import asyncio
import io
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout
from unittest import mock

import aiohttp
import pytest

from tonwatch import cli

ENVIRONMENT = {name: text for name, text in os.environ.items() if "TONWATCH" not in name}


@asynccontextmanager
async def started(*arguments: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A running command; killed at the end if still running."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tonwatch",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=ENVIRONMENT | environment,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def finished(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command that ends by itself."""
    async with started(*arguments, **environment) as process:
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def called(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Like `finished`, without a process: for commands that only read and print."""

    def run() -> int:
        with (
            mock.patch.dict(os.environ, ENVIRONMENT | environment, clear=True),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            try:
                return cli.main(arguments)
            except SystemExit as ending:
                return int(ending.code or 0)

    out, err = io.StringIO(), io.StringIO()
    code = await asyncio.to_thread(run)
    return code, out.getvalue(), err.getvalue()


async def serving(process: asyncio.subprocess.Process) -> str:
    """The base URL, read from the daemon's own log."""
    assert process.stderr is not None
    async for line in process.stderr:
        entry = json.loads(line)
        if entry["event"] == "serving":
            return str(entry["url"])
    pytest.fail("the daemon ended without serving")


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def until_status(url: str, status: int) -> None:
    async with asyncio.timeout(15):
        while (await get(url))[0] != status:
            await asyncio.sleep(0.05)
