"""Triggers: which of them a camera waits for, and the one that we give."""

from __future__ import annotations

import time
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

genapi = pytest.importorskip("genicam.genapi", reason="the extra 'camera' is not installed")

# ruff: noqa: E402
from structlog.testing import capture_logs
from support.genapi_camera import Camera
from support.gentl_proxy import drain, opened

from edge.errors import UserError
from edge.frames import Payload
from edge.sources.genicam import trigger as genicam_trigger
from edge.sources.genicam.features import apply_features
from edge.sources.genicam.link import Link
from edge.sources.genicam.trigger import SoftwareTrigger, Trigger, triggers_of

BY_SOFTWARE = (("TriggerSelector", "FrameStart"), ("TriggerMode", "On"), ("TriggerSource", "Software"))
ELSEWHERE = ("TriggerSelector", "LineStart")


def test_a_trigger_counts_whatever_the_selector_stands_at():
    """A list of features may end with the selector at a trigger that is off: the camera waits all the same."""
    camera = Camera()
    apply_features(camera.node_map, [*BY_SOFTWARE, ELSEWHERE])
    assert camera.node_map.TriggerMode.value == "Off"
    assert triggers_of(camera.node_map) == [Trigger("FrameStart", "On", "Software"), Trigger("LineStart", "Off", "Line1")]
    assert camera.node_map.TriggerSelector.value == "LineStart", "left as it was"


class Clock:
    """Stands for the module ``time``."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


def test_the_software_trigger_fires_at_its_rate_and_makes_up_for_nothing(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(genicam_trigger, "time", clock)
    camera, counters = Camera(), Counter()
    apply_features(camera.node_map, [*BY_SOFTWARE, ELSEWHERE])
    trigger = SoftwareTrigger(camera.node_map, triggers_of(camera.node_map), 10.0, counters)
    fired = []
    for now in (100.0, 100.02, 100.09, 100.11, 100.19, 100.21, 101.0, 101.05, 101.11):
        clock.now = now
        trigger.fire_if_due()
        fired.append(len(camera.fired))
    assert fired == [1, 1, 1, 2, 2, 3, 4, 4, 5]
    assert camera.fired == ["FrameStart"] * 5, "whatever the selector stood at"
    assert counters == {"software_triggers": 5}


def test_every_trigger_that_waits_for_software_is_fired(monkeypatch):
    camera = Camera()
    apply_features(camera.node_map, [*BY_SOFTWARE, ELSEWHERE, *BY_SOFTWARE[1:]])
    SoftwareTrigger(camera.node_map, triggers_of(camera.node_map), 10.0, Counter()).fire_if_due()
    assert camera.fired == ["FrameStart", "LineStart"]


def test_a_trigger_that_the_camera_is_not_ready_for_is_counted():
    camera, counters = Camera(), Counter()
    apply_features(camera.node_map, BY_SOFTWARE)
    trigger = SoftwareTrigger(camera.node_map, triggers_of(camera.node_map), 1000.0, counters)
    node_map = camera.node_map
    busy = SimpleNamespace(get_access_mode=lambda: 1)  # NA, as some cameras are while they expose
    trigger._node_map = SimpleNamespace(
        get_node=lambda name: busy if name == "TriggerSoftware" else node_map.get_node(name)
    )
    trigger.fire_if_due()
    assert (camera.fired, counters) == ([], {"software_triggers_refused": 1})


@pytest.mark.parametrize(
    ("features", "received"),
    [
        ((), "FrameStart: TriggerMode Off, TriggerSource Line1; LineStart: TriggerMode Off, TriggerSource Line1"),
        (
            (BY_SOFTWARE[1],),
            "FrameStart: TriggerMode On, TriggerSource Line1; LineStart: TriggerMode Off, TriggerSource Line1",
        ),
    ],
)
def test_a_camera_that_does_not_wait_for_software_is_refused(features, received):
    camera = Camera()
    apply_features(camera.node_map, features)
    with pytest.raises(UserError) as error:
        SoftwareTrigger(camera.node_map, triggers_of(camera.node_map), 10.0, Counter())
    assert str(error.value) == (
        "source.software_trigger_hz: the camera does not wait for software triggers\n"
        f"  received: {received}\n"
        "  expected: TriggerMode On and TriggerSource Software\n"
        "  fix: features: [[TriggerSelector, FrameStart], [TriggerMode, On], [TriggerSource, Software]]"
    )


def test_a_camera_without_triggers_is_refused(proxy):
    with pytest.raises(UserError) as error, opened(proxy, software_trigger_hz=10):
        pass
    assert str(error.value).splitlines()[1] == "  received: a camera without triggers"


class Triggered:
    """The simulated camera's features, and triggers beside them."""

    def __init__(self, real: Any, camera: Camera) -> None:
        self._real = real
        self._camera = camera

    def get_node(self, name: str) -> Any:
        return (self._camera.node_map if name.startswith("Trigger") else self._real).get_node(name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.fixture
def camera(proxy, monkeypatch) -> Camera:
    """Triggers for the simulated camera: it gives one frame for each that is fired."""
    camera = Camera()
    camera.on_fire = lambda: proxy.set(triggered=proxy.get("triggered") + 1)
    monkeypatch.setattr(Link, "node_map", property(lambda link: Triggered(link._camera.remote_device.node_map, camera)))
    proxy.set(by_trigger=1)
    return camera


def test_frames_come_as_they_are_triggered_and_only_then(proxy, camera, hasty):
    features = (("PixelFormat", "Mono8"), ("Width", 100), ("Height", 100), ("AcquisitionFrameRate", 200.0), *BY_SOFTWARE)
    with opened(proxy, features=features) as source:
        idle_until = time.monotonic() + 0.3
        assert drain(source, lambda: time.monotonic() > idle_until) == []
        assert source.status().state == "waiting_for_trigger"
    with opened(proxy, features=features, software_trigger_hz=50) as source:
        assert source.status().state == "configured", "its frames are due: silence would be a fault"
        items = drain(source, lambda: source.status().counters["frames"] == 5)
        counters = source.status().counters
        assert len([item for item in items if isinstance(item, Payload)]) == 5
        assert 5 <= counters["software_triggers"] == len(camera.fired)
        assert set(camera.fired) == {"FrameStart"}
        proxy.set(stall=1)
        drain(source, lambda: source.status().state == "silent")


def test_a_software_trigger_among_the_features_is_told_to_fire_nothing(proxy, camera):
    with capture_logs() as logs, opened(proxy, features=(*BY_SOFTWARE, ("TriggerSoftware", "execute"))):
        pass
    told = [log["hint"] for log in logs if log["event"] == "trigger_before_start"]
    assert told == ["features are written before frames are taken, so it fires nothing: see source.software_trigger_hz"]
