"""One machine's server: uvicorn in this process, workers beside it, and a clean end to both."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from contextlib import suppress

import uvicorn

from worldreel.errors import OutputError, RequestError, message, shown
from worldreel.server import publish
from worldreel.server.app import make_app
from worldreel.server.settings import Settings
from worldreel.server.state import Server
from worldreel.server.supervisor import Supervisor

__all__ = ["serve"]


class _Uvicorn(uvicorn.Server):
    """Says, as soon as a signal comes, that no more jobs are taken and streams end."""

    def __init__(self, config: uvicorn.Config, server: Server) -> None:
        super().__init__(config)
        self.parts = server

    def handle_exit(self, sig: int, frame: object) -> None:
        """SIGTERM or SIGINT."""
        self.parts.intake.draining = True
        self.parts.hub.close()
        super().handle_exit(sig, frame)  # type: ignore[arg-type]


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or Ctrl-C; raises a `WorldreelError` if that cannot begin."""
    _check(settings)
    try:
        settings.folder.mkdir(parents=True, exist_ok=True)
        settings.folder.chmod(0o700)
    except OSError as error:
        came = f"the folder {shown(str(settings.folder), limit=200)} cannot be used"
        raise OutputError(message(came, "choose another with --folder")) from error
    app = make_app(settings)
    server: Server = app.state.server
    if settings.keys and not server.keys.names():
        came = "there are no keys"
        raise RequestError(message(came, "make one with `worldreel keys add NAME`"))
    _more_files()
    publish.warm()
    bound = _bound(settings)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, timeout_graceful_shutdown=10, server_header=False
    )
    supervisor = Supervisor(settings, server.jobs)
    supervisor.start()
    for each in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises what it caught once more when it has ended; there is work to do then.
        signal.signal(each, lambda *_: None)
    try:
        with bound:
            asyncio.run(_Uvicorn(config, server).serve(sockets=[bound]))
    finally:
        supervisor.stop()
        server.jobs.database.close()


def _check(settings: Settings) -> None:
    if not settings.loopback and not settings.keys:
        came = f"the address is {shown(settings.host)}, which others can reach"
        raise RequestError(message(came, "use --keys there, or 127.0.0.1 without"))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")


def _bound(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((settings.host, settings.port))
        bound.listen(2048)
    except (OSError, OverflowError) as error:
        bound.close()
        came = f"nothing can listen at {shown(settings.host)}:{settings.port}"
        raise RequestError(message(came, "stop what does, or choose another --port")) from error
    bound.set_inheritable(False)
    logging.getLogger("worldreel.server").info(
        "listening at http://%s:%s/v1", settings.host, bound.getsockname()[1]
    )
    return bound


def _more_files() -> None:
    """Each connection is an open file; the usual limit is far below a thousand clients."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))
