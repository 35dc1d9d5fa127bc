"""A camera says itself what starts its frames; we may also give it the trigger ourselves."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from genicam import genapi

from edge.errors import UserError
from edge.sources.genicam.features import BINDING_ERRORS, CONNECTION_ERRORS, WRITABLE, value_of

SELECTOR: Final = "TriggerSelector"


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger has TriggerMode and TriggerSource as they are for one value of TriggerSelector (None: the camera has no
    selector).
    """

    selector: str | None
    mode: str | None
    source: str | None

    @property
    def on(self) -> bool:
        return self.mode == "On"

    @property
    def by_software(self) -> bool:
        return self.on and self.source == "Software"

    def __str__(self) -> str:
        """Write it as it stands in the camera: ``FrameStart: TriggerMode On, TriggerSource Line1``."""
        text = f"TriggerMode {self.mode}, TriggerSource {self.source}"
        return text if self.selector is None else f"{self.selector}: {text}"


def triggers_of(node_map: Any) -> list[Trigger]:
    """Return every trigger of the camera; none if it has no TriggerMode. The selector is left as it was.

    Raises:
        UnansweredError, BINDING_ERRORS: the way to the camera failed.
    """
    if value_of(node_map, "TriggerMode") is None:
        return []
    before = value_of(node_map, SELECTOR)
    selector = None if before is None else node_map.get_node(SELECTOR)
    if selector is None or not isinstance(selector, genapi.IEnumeration) or selector.get_access_mode() not in WRITABLE:
        return [_trigger(node_map, before)]
    triggers = []
    for choice in selector.symbolics:
        try:
            selector.set_value(choice)
        except CONNECTION_ERRORS:
            raise
        except BINDING_ERRORS:  # a choice that the camera refuses now
            continue
        triggers.append(_trigger(node_map, choice))
    selector.set_value(before)
    return triggers


class SoftwareTrigger:
    """Fires TriggerSoftware ``hz`` times a second, if it is asked often whether it is time. Missed times are lost."""

    def __init__(self, node_map: Any, triggers: list[Trigger], hz: float, counters: Counter[str]) -> None:
        """Take ``counters``, where software_triggers are counted, and those that the camera was not ready for.

        Raises:
            UserError: no trigger of the camera is on and waits for software.
        """
        ours = [trigger.selector for trigger in triggers if trigger.by_software]
        if not ours or not isinstance(_node(node_map, "TriggerSoftware"), genapi.ICommand):
            raise UserError(
                "source.software_trigger_hz: the camera does not wait for software triggers",
                received="; ".join(map(str, triggers)) or "a camera without triggers",
                expected="TriggerMode On and TriggerSource Software",
                fix="features: [[TriggerSelector, FrameStart], [TriggerMode, On], [TriggerSource, Software]]",
            )
        self._node_map = node_map
        self._selectors = ours
        self._every_s = 1.0 / hz
        self._counters = counters
        self._next_s = 0.0
        if ours[0] is not None:
            node_map.get_node(SELECTOR).set_value(ours[0])

    def fire_if_due(self) -> None:
        """Fire the trigger if it is time.

        Raises:
            BINDING_ERRORS: the way to the camera failed.
        """
        now = time.monotonic()
        if now < self._next_s:
            return
        late = now - self._next_s
        self._next_s = self._next_s + self._every_s if late < self._every_s else now + self._every_s
        command = self._node_map.get_node("TriggerSoftware")
        for selector in self._selectors:
            if len(self._selectors) > 1:
                self._node_map.get_node(SELECTOR).set_value(selector)
            if command.get_access_mode() in WRITABLE:
                command.execute()
                self._counters["software_triggers"] += 1
            else:  # exposing, say
                self._counters["software_triggers_refused"] += 1


def _trigger(node_map: Any, selector: str | None) -> Trigger:
    return Trigger(selector, value_of(node_map, "TriggerMode"), value_of(node_map, "TriggerSource"))


def _node(node_map: Any, name: str) -> Any:
    try:
        return node_map.get_node(name)
    except BINDING_ERRORS:
        return None
