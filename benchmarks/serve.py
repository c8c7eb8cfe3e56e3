"""What the server holds: orders, jobs, and a crowd; the videos themselves are a stand-in's.

    python benchmarks/serve.py [--json] [--only PART] [--seconds S] [--held N]

    orders   POST /videos one after another, and by 32 clients at once: latencies
    work     jobs of no length through one worker: jobs a second, and how long each waits
    held     so many jobs in the queue: latencies of asking for one, for a page, and of one more
    crowd    ten times as many orders as are taken, a short queue, and a thousand slow clients
             (half of them dripping requests, half of them listening to events): how long
             /healthz takes meanwhile

Everything is on this machine: the clients take their share of the cores.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

BODY = json.dumps({"prompt": "a red ball bounces", "seconds": "1", "size": "96x64"}).encode()


class Server:
    """`worldreel serve` in a process of its own."""

    def __init__(self, *options: str, seconds: float = 0.0) -> None:
        self.folder = tempfile.TemporaryDirectory()
        settings = {"maker": "worldreel.server.making:Standin", "spare": 0}
        home = Path(self.folder.name)
        (home / "trust.yaml").write_text("without: [frame review, watermark, signature]\n")
        command = [sys.executable, "-m", "worldreel", "serve", "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--folder", str(home / "server"), *options],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ
            | {
                "WORLDREEL_SERVER": json.dumps(settings),
                "WORLDREEL_STANDIN_SECONDS": str(seconds),
                "WORLDREEL_HOME": str(home),
            },
        )
        assert self.process.stderr is not None
        said = []
        for line in self.process.stderr:
            said.append(line)
            if found := re.search(r"listening at http://127.0.0.1:(\d+)/v1", line):
                self.port = int(found[1])
                break
        else:
            raise RuntimeError("".join(said))
        self._log = asyncio.get_running_loop().run_in_executor(None, self.process.stderr.read)

    async def stop(self) -> None:
        """SIGTERM, and its end."""
        self.process.terminate()
        await asyncio.to_thread(self.process.wait)
        await self._log
        assert self.process.stderr is not None
        self.process.stderr.close()
        self.folder.cleanup()

    async def send(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes, float]:
        """(status, body, seconds) of a request on a connection of its own."""
        began = time.perf_counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(_head(method, path, len(body)) + body)
            status, answer = await _answer(reader)
            return status, answer, time.perf_counter() - began
        finally:
            writer.close()


def _head(method: str, path: str, length: int) -> bytes:
    lines = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    if length:
        lines += f"Content-Type: application/json\r\nContent-Length: {length}\r\n"
    return f"{lines}\r\n".encode()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    body = await (reader.read() if length is None else reader.readexactly(int(length[1])))
    return int(head.split(b" ", 2)[1]), body


def _latencies(found: list[float], name: str) -> dict[str, float]:
    ordered = sorted(found)
    at = {part: ordered[min(len(ordered) - 1, int(part / 100 * len(ordered)))] for part in (50, 99)}
    return {f"{name}_p{part}_ms": round(value * 1000, 2) for part, value in at.items()}


@contextlib.asynccontextmanager
async def serving(*options: str, seconds: float = 0.0) -> AsyncIterator[Server]:
    server = Server(*options, seconds=seconds)
    try:
        for _ in range(600):
            if (await server.send("GET", "/readyz"))[0] == 200:
                break
            await asyncio.sleep(0.05)
        yield server
    finally:
        await server.stop()


async def orders(_: argparse.Namespace) -> dict[str, float]:
    async with serving("--queue", "100000", seconds=0.1) as server:
        alone = [(await server.send("POST", "/v1/videos", BODY))[2] for _ in range(100)]
        together: list[float] = []

        async def client() -> None:
            for _ in range(10):
                together.append((await server.send("POST", "/v1/videos", BODY))[2])

        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(32)))
        rate = len(together) / (time.perf_counter() - began)
    told = _latencies(alone, "one_client") | _latencies(together, "32_clients")
    return told | {"orders_a_second": round(rate, 1)}


async def work(options: argparse.Namespace) -> dict[str, float]:
    count = 100
    async with serving("--queue", "100000") as server:
        began = time.perf_counter()
        names = []
        for _ in range(count):
            names.append(json.loads((await server.send("POST", "/v1/videos", BODY))[1])["id"])
        waits: list[float] = []
        for name in names:
            while True:
                told = json.loads((await server.send("GET", f"/v1/videos/{name}"))[1])
                if told["status"] in ("completed", "failed"):
                    break
                await asyncio.sleep(0.02)
            assert told["status"] == "completed", told
            waits.append(told["inference_time_s"])
        took = time.perf_counter() - began
    return {"jobs_a_second": round(count / took, 1)} | _latencies(waits, "making")


async def held(options: argparse.Namespace) -> dict[str, float]:
    async with serving("--queue", "100000", "--drain", "0", seconds=60) as server:
        names: list[str] = []

        async def client() -> None:
            while len(names) < options.held:
                names.append(json.loads((await server.send("POST", "/v1/videos", BODY))[1])["id"])

        await asyncio.gather(*(client() for _ in range(16)))
        found: dict[str, list[float]] = {"retrieve": [], "page": [], "one_more": []}
        for number in range(60):
            name = names[number * len(names) // 60]
            found["retrieve"].append((await server.send("GET", f"/v1/videos/{name}"))[2])
            found["page"].append((await server.send("GET", f"/v1/videos?after={name}"))[2])
            found["one_more"].append((await server.send("POST", "/v1/videos", BODY))[2])
    told: dict[str, float] = {"jobs": len(names)}
    for name, some in found.items():
        told |= _latencies(some, name)
    return told


async def crowd(options: argparse.Namespace) -> dict[str, Any]:
    count = 1000
    async with serving("--queue", "10", seconds=0.5) as server:
        name = json.loads((await server.send("POST", "/v1/videos", BODY))[1])["id"]
        slow = [asyncio.create_task(_slow(server, name, n)) for n in range(count)]
        await asyncio.sleep(2)
        statuses: dict[int, int] = {}
        rate = 20.0  # a worker makes two a second
        pushed = asyncio.create_task(_push(server, rate, options.seconds, statuses))
        health: list[float] = []
        failures = 0
        end = time.perf_counter() + options.seconds
        while time.perf_counter() < end:
            status, _, took = await server.send("GET", "/healthz")
            health.append(took)
            failures += status != 200
            await asyncio.sleep(0.01)
        await pushed
        ready = (await server.send("GET", "/readyz"))[0]
        alive = sum(not task.done() for task in slow)
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
    told = _latencies(health, "health") | {"health_failures": failures, "asked": len(health)}
    refused = {str(status): number for status, number in sorted(statuses.items())}
    return told | {"slow_clients": alive, "answers": refused, "ready_while_full": ready}


async def _push(server: Server, rate: float, seconds: float, statuses: dict[int, int]) -> None:
    """Orders at a steady rate, whatever becomes of them."""

    async def one() -> None:
        status, _, _ = await server.send("POST", "/v1/videos", BODY)
        statuses[status] = statuses.get(status, 0) + 1

    running = []
    for _ in range(int(rate * seconds)):
        running.append(asyncio.create_task(one()))
        await asyncio.sleep(1 / rate)
    await asyncio.gather(*running)


async def _slow(server: Server, name: str, number: int) -> None:
    """A client that drips its request, a byte each second, or listens and hardly reads."""
    await asyncio.sleep(number / 1000)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
    try:
        if number % 2:
            writer.write(_head("GET", f"/v1/videos/{name}/events", 0))
            while True:
                await asyncio.sleep(5)
        for byte in _head("POST", "/v1/videos", len(BODY)) + BODY:
            writer.write(bytes([byte]))
            await asyncio.sleep(1)
    finally:
        writer.close()
        del reader


PARTS: dict[str, Callable[[argparse.Namespace], Awaitable[dict[str, Any]]]] = {
    "orders": orders,
    "work": work,
    "held": held,
    "crowd": crowd,
}


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", choices=tuple(PARTS))
    parser.add_argument("--seconds", type=float, default=10.0, help="of the crowd")
    parser.add_argument("--held", type=int, default=1000, help="jobs in the queue")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))
    told: dict[str, Any] = {}
    for name in [options.only] if options.only else PARTS:
        told[name] = await PARTS[name](options)
        if not options.json:
            print(name, *(f"{key}={value}" for key, value in told[name].items()), sep="  ")
    if options.json:
        print(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main())
