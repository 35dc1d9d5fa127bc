"""endpoints.json follows what is bound now: an address that could not be had at the start may come later."""

from __future__ import annotations

import time
from pathlib import Path

import structlog

from edge.errors import text_of
from edge.line.line import Line
from edge.service.health_server import HealthServer
from edge.service.runtime_folder import write_endpoints

log = structlog.get_logger()

LOOK_S = 1.0


class EndpointsFile:
    """The supervisor calls ``turn``. A full disk is no reason not to inspect: it is tried again each second."""

    def __init__(self, folder: Path, server: HealthServer) -> None:
        self._folder = folder
        self._server = server
        self._written: dict[str, str | None] | None = None
        self._look_at = 0.0
        self._warned = False

    def turn(self, line: Line) -> None:
        """Write the file if something has changed."""
        if self._server.fault is None:
            line.fault.pop("health", None)
        else:
            line.fault["health"] = self._server.fault
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_S
        bound = {n: s.detail["endpoint"] for n, s in line.output_statuses().items() if "endpoint" in s.detail}
        endpoints = {n: None if e is None else str(e) for n, e in bound.items()}
        endpoints["health"] = None if self._server.address is None else f"http://{self._server.address}"
        if endpoints == self._written:
            return
        try:
            write_endpoints(self._folder, endpoints)
        except OSError as error:
            if not self._warned:
                log.warning("endpoints_not_written", error=text_of(error))
            self._warned = True
            return
        self._written, self._warned = endpoints, False
        log.info("endpoints", **endpoints)
