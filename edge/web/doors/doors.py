"""The doors of one running page: its config, its accounts, its audit log, and which cameras there are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from starlette.requests import HTTPConnection

from edge.config.web import WebConfig
from edge.web.doors.account_book import AccountBook
from edge.web.doors.attempts import Attempts
from edge.web.doors.audit_log import AuditLog


@dataclass(frozen=True, slots=True)
class Doors:
    """The doors know who is who; ``has_camera`` says whether a camera of this name is known here."""

    config: WebConfig
    accounts: AccountBook
    audit: AuditLog
    has_camera: Callable[[str], bool]
    attempts: Attempts = field(default_factory=Attempts)
    one_log_in: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    """Log-ins are tried one after the other: each counts before the next begins, and they take one thread."""


def doors_of(connection: HTTPConnection) -> Doors:
    """Return the doors that this request or WebSocket came through."""
    return cast("Doors", connection.app.state.site.doors)
