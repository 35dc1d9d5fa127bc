"""The worker is a process of its own: it judges while the page's sliders move, and is the last in every queue.

``python -m edge.web.tuning.worker MEMORY_MB`` reads messages from its standard input and answers on its standard output.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time
from collections import deque
from typing import Any, BinaryIO, Final

import cv2

from edge.errors import UserError, text_of
from edge.web.tuning import messages
from edge.web.tuning.change import problem_of
from edge.web.tuning.lowest import be_the_last
from edge.web.tuning.session import TuningSession

_TELL_S: Final = 0.25
"""Time in s between two reports of all verdicts while tables are made."""
_TELL_AGAIN_S: Final = 0.1
"""The same while a filter's slider moves: a browser paints a report for 10 ms, and has the overlay to paint."""
_REST_S: Final = 0.15
"""Time in s after which a slider rests. Funnel and problems take 20 to 40 ms of CPU: the next step would wait for them."""
_HOLD_S: Final = 0.06
"""Time in s after a change to what lies before the candidates, in which no table is made: the next change makes all of
them anew, and would wait up to 8 ms for the one that is being made."""
_AT_REST: Final = ("problems", "funnel", "verdicts")


class TuningWorker:
    """The worker has a session for each open tab. Between any two frames it looks whether a page wants something."""

    def __init__(self, source: BinaryIO, out: BinaryIO) -> None:
        self._source, self._out = source, out
        self._inbox: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._sessions: dict[str, TuningSession] = {}
        self._busy: deque[str] = deque()
        """Sessions whose tables are not all there, in turn."""
        self._reported_at: dict[str, float] = {}
        self._rest: dict[str, tuple[float, list[str]]] = {}
        self._numbers: dict[str, int | None] = {}  # of each session's last change, as the page counts them
        """What is sent about a session once it rests, the last first, and from when on."""
        self._hold_until = 0.0
        self._measured: set[str] = set()
        """Sessions with tables, and so maxima, that their pages haven't heard of."""

    def run(self) -> None:
        """Work until the front closes the pipe."""
        threading.Thread(target=self._listen, daemon=True).start()
        while (message := self._next()) is not None:
            for one in self._newest(message):
                self._answer(one)
        for session in self._sessions.values():
            session.close()

    def _listen(self) -> None:
        while (message := messages.read_message(self._source)) is not None:
            self._inbox.put(message[0])
        self._inbox.put(None)

    def _next(self) -> dict[str, Any] | None:
        """Return the next message, None at the end. Until one is there, do what waits, one thing at a time."""
        while True:
            due = min((due for due, _ in self._rest.values()), default=None)
            waits = [*([] if due is None else [due]), *([self._hold_until] if self._busy else [])]
            try:
                return self._inbox.get(timeout=max(min(waits) - time.monotonic(), 0.0) if waits else None)
            except queue.Empty:
                self._use_time(due)

    def _use_time(self, due: float | None) -> None:
        """Tell one thing of the session that rests since ``due``, or make one more table."""
        if due is not None and due <= time.monotonic():
            self._tell_at_rest(next(name for name, (since, _) in self._rest.items() if since == due))
        elif self._busy and self._hold_until <= time.monotonic():
            self._busy.rotate(-1)
            self._go_on(self._busy[-1])

    def _tell_at_rest(self, name: str) -> None:
        _, wanted = self._rest[name]
        self._answer({"op": wanted.pop(), "session": name})
        if not wanted:
            del self._rest[name]

    def _when_at_rest(self, name: str, *wanted: str) -> None:
        """Put off what is ``wanted``, and what waits already, until no slider of this session moves."""
        _, waiting = self._rest.get(name, (0.0, []))
        self._rest[name] = time.monotonic() + _REST_S, [one for one in _AT_REST if one in wanted or one in waiting]

    def _newest(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        """Return what waits without changes that another one has overtaken: a slider sends more than anybody can see."""
        waiting = [message]
        while not self._inbox.empty():
            later = self._inbox.get()
            if later is None:
                self._inbox.put(None)
                break
            waiting.append(later)
        moved = [n for n, one in enumerate(waiting) if one["op"] == "judge" and one.get("id") is None]
        last = {waiting[number]["session"]: number for number in moved}
        return [one for n, one in enumerate(waiting) if n not in moved or last[one["session"]] == n]

    def _answer(self, message: dict[str, Any]) -> None:
        known = {"re": message.get("id"), "session": message["session"], "op": message["op"], "n": message.get("n")}
        try:
            self._do(message, message["session"])
        except UserError as error:
            self._tell({**known, "error": _error_fields(error)})
        except MemoryError:
            self._tell({**known, "op": "stopped", "error": _NO_MEMORY})
        except Exception as error:  # noqa: BLE001  (a picture that cv2 refuses must not end the session)
            self._tell({**known, "error": {"what": text_of(error)}})

    def _do(self, message: dict[str, Any], name: str) -> None:
        op, known = message["op"], {"re": message.get("id"), "session": name}
        if op == "open":
            self._sessions[name] = anew = TuningSession(message)
            self._tell({**known, "op": "opened", **anew.opened})
            self._begin(name)
            return
        if op == "close":
            self._end(name)
            return
        session = self._sessions.get(name)
        if session is None:
            raise UserError("this session is closed", fix="open the recording again")
        if op == "judge":
            self._judge(session, message, known)
            self._begin(name)
        elif op == "look":
            self._look(session, message, known)
        elif op == "picture":
            self._tell({**known, "op": op}, session.picture(message["index"], message["kind"], message["most"]))
        elif op == "funnel":
            self._tell({**known, "op": op, "view": session.view, **session.funnel(session.view)})
        elif op == "problems":
            self._tell({**known, "op": op, "problems": session.problems()})
        elif op == "export":
            self._tell({**known, "op": op, **session.export()})
        elif op == "histogram":
            self._tell({**known, "op": op, **session.histogram(message["key"])})
        elif op == "verdicts":
            if known["re"] is not None:
                self._measured.add(name)  # whoever asks gets all
            self._tell_verdicts(session, known)

    def _look(self, session: TuningSession, message: dict[str, Any], known: dict[str, Any]) -> None:
        view, old = int(message["view"]), bool(message.get("old"))
        head, layers = session.look(view, old=old)
        self._tell({**known, "op": "look", "view": view, "old": old, **head}, layers)
        if not old:
            session.view = view
            self._when_at_rest(known["session"], "funnel")

    def _judge(self, session: TuningSession, message: dict[str, Any], known: dict[str, Any]) -> None:
        """The frame in view first, then the whole recording from tables, then what takes longer."""
        view, known = int(message["view"]), {**known, "n": message.get("n")}
        self._numbers[known["session"]] = message.get("n")
        kind = session.change(message["regions"], view)
        head, layers = session.look(view)
        self._tell({**known, "op": "look", "view": view, "old": False, "kind": kind, **head}, layers)
        self._when_at_rest(known["session"], "problems", "funnel")
        if kind is None:
            self._measured.add(known["session"])  # a page that has just come knows nothing
        elif kind == "maps":
            self._hold_until = time.monotonic() + _HOLD_S

    def _tell_verdicts(self, session: TuningSession, known: dict[str, Any]) -> None:
        name = known["session"]
        maxima = {"maxima": session.maxima()} if name in self._measured else {}
        self._tell({**known, "op": "verdicts", "n": self._numbers.get(name), **session.verdicts(), **maxima})
        self._measured.discard(name)
        self._reported_at[name] = time.monotonic()

    def _begin(self, name: str) -> None:
        if name not in self._busy:
            self._busy.appendleft(name)

    def _end(self, name: str) -> None:
        session = self._sessions.pop(name, None)
        self._rest.pop(name, None)
        self._numbers.pop(name, None)
        self._reported_at.pop(name, None)
        self._measured.discard(name)
        if name in self._busy:
            self._busy.remove(name)
        if session is not None:
            session.close()

    def _go_on(self, name: str) -> None:
        session = self._sessions[name]
        try:
            if more := session.step():
                self._measured.add(name)
            if time.monotonic() - self._reported_at.get(name, 0.0) > (_TELL_S if more else _TELL_AGAIN_S):
                self._tell_verdicts(session, {"session": name})
            elif not more:
                self._when_at_rest(name, "verdicts")
        except UserError as error:
            self._stop(name, _error_fields(error))
        except MemoryError:
            self._stop(name, _NO_MEMORY)
        except Exception as error:  # noqa: BLE001  (one session's trouble must not end the others')
            self._stop(name, {"what": text_of(error)})
        else:
            if not more:
                self._busy.remove(name)

    def _stop(self, name: str, error: dict[str, Any]) -> None:
        """Make no more tables for a session until its page asks for something else; tell what is there."""
        self._busy.remove(name)
        self._tell({"session": name, "op": "stopped", "error": error})
        with contextlib.suppress(Exception):  # then what was sent last stands
            self._tell_verdicts(self._sessions[name], {"session": name})

    def _tell(self, head: dict[str, Any], body: bytes = b"") -> None:
        self._out.write(messages.packed_message(head, body))
        self._out.flush()


_NO_MEMORY: Final = {"what": "the worker has no memory left", "fix": "take a shorter stretch, or raise workers.memory_mb"}


def _error_fields(error: UserError) -> dict[str, Any]:
    received = None if error.received is None else str(error.received)
    expected = None if error.expected is None else str(error.expected)
    return {"what": error.what, "received": received, "expected": expected, "fix": error.fix, **problem_of(error)}


def main() -> None:
    """Work for the front until it closes the pipe."""
    be_the_last(int(sys.argv[1]))
    cv2.setNumThreads(1)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not stand between the messages
    TuningWorker(sys.stdin.buffer, out).run()


if __name__ == "__main__":
    main()
