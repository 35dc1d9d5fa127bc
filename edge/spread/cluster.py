"""Work spread over the machines of a Ray cluster: the same shards, the same results, and frames that all machines read.

Ray brings what one machine can't give: shards on other nodes, and the loss of a node made good. Every node reads the frames
itself, from a path that all of them see; only a shard's result travels. Before the first shard each node is asked for its
versions and for what it sees of the frames, and one that differs is refused by name.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module, metadata
from typing import Any

from edge.errors import UserError
from edge.spread.reach import expect_cluster
from edge.spread.shards import LostFrame, Progress, Shard, Task
from edge.spread.throughput import Throughput

_TURN_S = 0.2
"""Between two looks at how far the shards are."""
_TELL_S = 0.5
"""Between two words of a shard on how far it is."""
_TRIES = 2
"""A shard that killed so many workers is worked on without the frame that killed the last one."""
_AHEAD = 2
"""Shards that are handed out, over the cluster's CPUs: a node that joins finds work."""
_GONE_S = 5.0
"""For Ray to notice that a node is gone."""
_NODE_S = 60.0
"""For a node to answer who it is; starting a worker process takes most of it."""
_COUNTING = ("edge", "numpy", "cv2", "onnxruntime")
"""Another version of these may give other numbers in the last place, and results must not depend on the node."""
_MAY_COUNT = ("openvino", "tensorrt", "tensorrt_rtx")
"""Distributions of engines that ``engine: auto`` takes where they are installed."""

FramesSeen = Callable[[], str]
"""What a machine sees of the frames, in one line of text. Raises UserError where it sees nothing."""


def run_on_cluster(
    task: Task,
    shards: Sequence[Shard],
    address: str,
    before: int,
    finished: Callable[[Shard, bytes], None],
    progress: Callable[[Progress], None],
    seen: FramesSeen | None = None,
) -> tuple[list[LostFrame], int]:
    """Work through the shards on the cluster at ``address``; return the lost frames and how often a shard was begun again.

    ``address``: ``HOST:PORT`` of its head, ``ray://HOST:PORT``, ``auto`` for the one that runs on this machine, ``local``
    for a node of its own that ends with the work. ``seen``: what must be the same on every node as here.

    Raises:
        UserError: within 10 s, where the cluster can't be reached, or the token isn't its own; where a node has another
            version or sees other frames; or what the task raised.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise UserError(
            "--cluster: Ray is not installed", fix="pip install 'edge-inspect[cluster]', here and on every node"
        ) from None
    expect_cluster(address)
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # noqa: BLE001  (Ray raises anything here)
        raise UserError(f"--cluster {address}: Ray cannot connect", received=_first_line(error)) from None
    try:
        _expect_same(ray, seen)
        return _Run(ray, task, shards, before).through(finished, progress)
    finally:
        ray.shutdown()


@dataclass(slots=True)
class _Run:
    """One pass over the shards."""

    ray: Any
    task: Task
    shards: Sequence[Shard]
    before: int
    deaths: dict[int, int] = field(default_factory=dict)
    lost: list[LostFrame] = field(default_factory=list)
    retries: int = 0
    ledger: Any = None

    def through(
        self, finished: Callable[[Shard, bytes], None], progress: Callable[[Progress], None]
    ) -> tuple[list[LostFrame], int]:
        ray = self.ray
        self.ledger = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_Ledger).remote()
        work = ray.remote(num_cpus=1, max_retries=0)(_work)  # our own retries know which frame it was
        task = ray.put(self.task)
        pace = Throughput(self.before + sum(_frames(shard) for shard in self.shards), self.before)
        waiting, running, done = deque(self.shards), dict[Any, Shard](), self.before
        while waiting or running:
            workers = max(1, int(ray.cluster_resources().get("CPU", 1)))
            while waiting and len(running) < _AHEAD * workers:
                shard = waiting.popleft()
                running[work.remote(task, shard, self.ledger, shard.index in self.deaths)] = shard
            ready, _ = ray.wait(list(running), num_returns=1, timeout=_TURN_S)
            for reference in ready:
                shard = running.pop(reference)
                answer = self._answer(reference)
                if isinstance(answer, bytes):
                    finished(shard, answer)
                    done += _frames(shard)
                elif isinstance(answer, UserError):
                    raise answer
                else:
                    waiting.appendleft(self._again(shard, str(answer)))
            part = self._under_way({shard.index for shard in running.values()})
            progress(pace.progress(done + part, workers=workers, retries=self.retries))
        return self.lost, self.retries

    def _answer(self, reference: Any) -> Any:
        """The shard's result, the task's error for a person, or in words how its worker ended."""
        from ray import exceptions

        try:
            return self.ray.get(reference)
        except exceptions.RayTaskError as error:
            raise RuntimeError(_first_line(error)) from None
        except exceptions.RayError as error:
            return _first_line(error)

    def _again(self, shard: Shard, how: str) -> Shard:
        """The shard once more, each frame reported before it is begun; the second time without the last one."""
        self.retries += 1
        self.deaths[shard.index] = self.deaths.get(shard.index, 0) + 1
        if self.deaths[shard.index] < _TRIES:
            return shard
        index, name = self.ray.get(self.ledger.at.remote(shard.index))
        if index < 0:
            raise UserError(
                f"frames {shard.start} to {shard.stop - 1}: the worker dies before it reads one",
                received=how,
                fix="run without --cluster and with --workers 1 to see why",
            )
        self.deaths[shard.index] = 0
        self.lost.append(LostFrame(index, name, how))
        return replace(shard, skip=(*shard.skip, index))

    def _under_way(self, running: set[int]) -> int:
        try:
            counts: dict[int, int] = self.ray.get(self.ledger.counts.remote(), timeout=_TURN_S)
        except Exception:  # noqa: BLE001  (the ledger's node died, or it is busy: only a figure on the way)
            return 0
        return sum(count for shard, count in counts.items() if shard in running)


class _Ledger:
    """An actor that knows which frame each shard is at."""

    def __init__(self) -> None:
        self._at: dict[int, tuple[int, str]] = {}
        self._done: dict[int, int] = {}

    def tell(self, shard: int, index: int, name: str, done: int) -> None:
        """The shard is about to begin this frame, after so many."""
        self._at[shard], self._done[shard] = (index, name), done

    def at(self, shard: int) -> tuple[int, str]:
        return self._at.get(shard, (-1, ""))

    def counts(self) -> dict[int, int]:
        return self._done


def _work(task: Task, shard: Shard, ledger: Any, careful: bool) -> bytes | UserError:
    """One shard on a node. ``careful``: its worker died once, so every frame is reported before it is begun."""
    import cv2
    import ray

    cv2.setNumThreads(1)
    last_shown, done = time.monotonic(), 0

    def at(index: int, name: str) -> None:
        nonlocal last_shown, done
        if careful:
            ray.get(ledger.tell.remote(shard.index, index, name, done))
        elif time.monotonic() - last_shown > _TELL_S:
            ledger.tell.remote(shard.index, index, name, done)
            last_shown = time.monotonic()
        done += 1

    try:
        return task(shard, at)
    except UserError as error:
        return error


def _who(seen: FramesSeen | None) -> tuple[dict[str, str], str | UserError]:
    """Versions on a node of what the results depend on, and what it sees of the frames."""
    try:
        view: str | UserError = "" if seen is None else seen()
    except UserError as error:
        view = error
    versions = {name: str(import_module(name).__version__) for name in _COUNTING}
    for name in _MAY_COUNT:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions, view


def _expect_same(ray: Any, seen: FramesSeen | None) -> None:
    """Raises UserError, naming the node, where one has another version or sees other frames than this machine."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    own_versions, own_view = _who(seen)
    if isinstance(own_view, UserError):
        raise own_view
    ask = ray.remote(num_cpus=0, max_retries=1)(_who)
    nodes = [node for node in ray.nodes() if node["Alive"]]
    answers = [
        ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(seen)
        for node in nodes
    ]
    for node, answer in zip(nodes, answers, strict=True):
        name = f"--cluster: node {node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
        try:
            versions, view = ray.get(answer, timeout=_NODE_S)
        except Exception as error:  # noqa: BLE001  (no edge on the node, no worker there: Ray raises anything)
            if not _is_alive(ray, node["NodeID"]):  # it went while it was asked: no shard will go there
                continue
            raise UserError(
                f"{name} cannot run this program", received=_first_line(error), fix="install edge-inspect there"
            ) from None
        for what, ours in own_versions.items():
            if versions.get(what) != ours:
                raise UserError(
                    f"{name} has another version of {what}",
                    received=versions.get(what),
                    expected=f"{ours}, as here",
                    fix="bring all nodes to one version",
                )
        if view != own_view:
            raise UserError(
                f"{name} sees other frames than this machine",
                received=view,
                expected=own_view,
                fix="name a path that all nodes see, a network share for example",
            )


def _is_alive(ray: Any, node: str) -> bool:
    """Whether the node is still there, a while after something went wrong with it."""
    end = time.monotonic() + _GONE_S
    while any(known["Alive"] for known in ray.nodes() if known["NodeID"] == node):
        if time.monotonic() > end:
            return True
        time.sleep(_TURN_S)
    return False


def _frames(shard: Shard) -> int:
    return shard.stop - shard.start


def _first_line(error: Exception) -> str:
    """The first line of Ray's many that says something; of a failure inside a task the last one, the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (
        (lines[-1] if "Traceback" in str(error) or "ray::" in str(error) else lines[0]) if lines else type(error).__name__
    )
