"""Listen to a line with this package, which needs pyzmq and orjson alone."""

from edge.client.events import (
    Event,
    Gap,
    Received,
    Refused,
    Restart,
    Resumed,
    Simulated,
    Stale,
    UnknownSchema,
    Unreadable,
)
from edge.client.pass_rule import Decision, Latest
from edge.client.previews import Preview, PreviewSubscriber
from edge.client.subscriber import Subscriber, check_endpoint
from edge.wire.keys import ClientKeys

__all__ = [
    "ClientKeys",
    "Decision",
    "Event",
    "Gap",
    "Latest",
    "Preview",
    "PreviewSubscriber",
    "Received",
    "Refused",
    "Restart",
    "Resumed",
    "Simulated",
    "Stale",
    "Subscriber",
    "UnknownSchema",
    "Unreadable",
    "check_endpoint",
]
