"""Everything that the pages share is held here, and every request finds it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from starlette.requests import HTTPConnection

from edge.config.web import LoadedWeb, WebConfig
from edge.web.background import Background
from edge.web.doors.account_book import AccountBook
from edge.web.doors.audit_log import AuditLog
from edge.web.doors.doors import Doors
from edge.web.live.hub import Hub
from edge.web.review.desk import ReviewDesk
from edge.web.tuning.desk import TuningDesk


@dataclass(frozen=True, slots=True)
class Site:
    """A site is one running page: its config, its own folder, its doors, and what it hears of the lines."""

    config: WebConfig
    folder: Path
    doors: Doors
    hub: Hub
    tuning: TuningDesk
    review: ReviewDesk
    background: tuple[Background, ...] = ()

    @classmethod
    def open(cls, loaded: LoadedWeb, *, background: bool = False) -> Site:
        """Open the page's folder, and with ``background`` the processes that work for it.

        Raises:
            UserError: the folder can't be used.
        """
        config, folder = loaded.config, loaded.folder
        accounts = AccountBook(folder, config.sessions)
        hub = Hub(config.lines, config.key)
        doors = Doors(config, accounts, AuditLog(folder), lambda camera: hub.instance(camera) is not None)
        places = (*map(str, config.lines), "--", *map(str, config.recordings))
        indexer = Background("edge.web.logs.indexer", str(folder.absolute()), *places)
        tuning = TuningDesk(config.workers, folder)
        review = ReviewDesk(config.workers, folder)
        return cls(config, folder, doors, hub, tuning=tuning, review=review, background=(indexer,) if background else ())

    def close(self) -> None:
        self.doors.accounts.close()


def site_of(connection: HTTPConnection) -> Site:
    """Return the site that this request or WebSocket came to."""
    return cast("Site", connection.app.state.site)
