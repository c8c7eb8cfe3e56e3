"""A server of its own for a test module: `worldreel serve` in a process, with a stand-in model."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FAST = {"maker": "worldreel.server.making:Standin", "lease": 3.0, "spare": 0}


class Running:
    """A server process; `url` ends with /v1."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        seconds: float = 0.1,
        port: int = 0,
        **settings: Any,
    ) -> None:
        self.folder, self.options, self.port = folder, options, port
        self.environment = os.environ | {
            "WORLDREEL_SERVER": json.dumps(FAST | settings),
            "WORLDREEL_STANDIN_SECONDS": str(seconds),
            "WORLDREEL_HOME": str(folder / "home"),
        }
        self.lines: list[str] = []
        self.start()

    def start(self) -> None:
        """Starts the process, at the same port if it had one."""
        base = [sys.executable, "-m", "worldreel", "serve", "--folder", str(self.folder)]
        self.process = subprocess.Popen(
            [*base, "--port", str(self.port), *self.options],
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if found := re.search(r"listening at (http://\S+?:(\d+))/v1", line):
                self.root, self.port = found[1], int(found[2])
                break
        else:
            raise AssertionError("".join(self.lines))
        threading.Thread(target=self._drain, daemon=True).start()
        self.wait(lambda: self.get("/readyz")[0] == 200, 30)

    def _drain(self) -> None:
        stream = self.process.stderr
        assert stream is not None
        with stream:
            self.lines.extend(stream)

    @property
    def url(self) -> str:
        """What an SDK calls its base URL."""
        return f"{self.root}/v1"

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        """The status and body of a GET."""
        return self.send("GET", path, None, **headers)

    def send(self, method: str, path: str, body: bytes | None, **headers: str) -> tuple[int, bytes]:
        """The status and body of a request; names of headers with _ for -; 0 if nobody answers."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.root + path, body, named, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except OSError:
            return 0, b""

    def wait(self, done: Any, seconds: float) -> None:
        """Until `done()`; an error after so many seconds."""
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, "".join(self.lines[-40:])
            time.sleep(0.05)

    def workers(self) -> Sequence[int]:
        """The worker processes' ids."""
        children = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        found = [int(pid) for place in children for pid in place.read_text().split()]
        return [pid for pid in found if b"server.worker" in _command(pid)]

    def kill(self) -> None:
        """kill -9 of the server process alone; its workers notice."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        code = self.process.wait(30)
        return code


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
