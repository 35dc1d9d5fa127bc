"""Everything that the pages share is held here, and every request finds it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from starlette.requests import HTTPConnection

from edge.config.web import LoadedWeb, WebConfig
from edge.web.doors.account_book import AccountBook
from edge.web.doors.audit_log import AuditLog
from edge.web.doors.doors import Doors
from edge.web.live.hub import Hub
from edge.web.tuning.desk import TuningDesk


@dataclass(frozen=True, slots=True)
class Site:
    """A site is one running page: its config, its own folder, its doors, and what it hears of the lines."""

    config: WebConfig
    folder: Path
    doors: Doors
    hub: Hub
    tuning: TuningDesk

    @classmethod
    def open(cls, loaded: LoadedWeb) -> Site:
        """Open the page's folder. Raises UserError if it can't be used."""
        config, folder = loaded.config, loaded.folder
        accounts = AccountBook(folder, config.sessions)
        hub = Hub(config.lines, config.key)
        doors = Doors(config, accounts, AuditLog(folder), lambda camera: hub.instance(camera) is not None)
        return cls(config, folder, doors, hub, TuningDesk(config.workers, folder))

    def close(self) -> None:
        self.hub.close()
        self.doors.accounts.close()


def site_of(connection: HTTPConnection) -> Site:
    """Return the site that this request or WebSocket came to."""
    return cast("Site", connection.app.state.site)
