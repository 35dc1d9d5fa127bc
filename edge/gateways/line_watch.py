"""A gateway begins before the line's daemon does, and outlives it: the daemon's endpoint is looked up again and again."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from edge.client import ClientKeys, Decision, Latest, Subscriber
from edge.client.events import STALE_S
from edge.errors import UserError

_UNKNOWN_S = float("inf")


class LineWatch:
    """The watch subscribes to where ``find`` says that the daemon publishes, and anew when that changes. One thread
    uses it.

    Until a daemon is found ``latest`` says ``no_record``, and why.
    """

    def __init__(
        self,
        find: Callable[[], str],
        camera: str,
        *,
        keys: ClientKeys | None = None,
        stale_s: float = STALE_S,
        tell: Callable[[str], None] = lambda _text: None,
    ) -> None:
        """Take ``find``, which returns an endpoint or raises UserError; ``tell`` gets one sentence per change."""
        self.stale_s = stale_s
        self._find = find
        self.camera = camera
        self._keys = keys
        self._tell = tell
        self._line: Subscriber | None = None
        self._endpoint: str | None = None
        self._why = "the daemon was not looked for yet"

    def look(self) -> None:
        """Look for the daemon. One that was found is kept while nothing says that it is elsewhere."""
        try:
            self._listen_to(self._find())
        except UserError as error:
            if self._line is None:
                self._waiting(str(error))
        if self._line is not None and self._line.refused is not None:
            self._waiting(self._line.refused)

    def _listen_to(self, endpoint: str) -> None:
        if endpoint == self._endpoint:
            return
        line = Subscriber(endpoint, self.camera, keys=self._keys, stale_s=self.stale_s, keep_s=0)
        self.close()
        self._line, self._endpoint = line, endpoint
        self._tell(f"listening to {endpoint}")

    def _waiting(self, why: str) -> None:
        if why != self._why:
            self._why = why
            self._tell(f"waiting for the daemon: {why}")

    def latest(
        self,
        max_age_s: float,
        *,
        recipe_id: str | None = None,
        config_sha256: str | None = None,
        allow_simulated: bool = False,
    ) -> Latest:
        """Return what ``Subscriber.latest`` does."""
        if self._line is None:
            return Latest(Decision(False, "no_record", self._why), _UNKNOWN_S, None, _UNKNOWN_S, None)
        return self._line.latest(
            max_age_s, recipe_id=recipe_id, config_sha256=config_sha256, allow_simulated=allow_simulated
        )

    def close(self) -> None:
        """Disconnect. May be called twice."""
        line, self._line, self._endpoint = self._line, None, None
        if line is not None:
            line.close()

    def __enter__(self) -> LineWatch:  # noqa: PYI034  (typing.Self came with Python 3.11)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
