"""Work on a Ray cluster gives the bytes of one process, whatever happens to a worker. One node, on this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson
import pytest
from support import spread_tasks
from support.spread_tasks import Count

from edge.config.load import load_config
from edge.errors import UserError
from edge.models.calibrate.measure import measure
from edge.models.calibrate.spread_measure import SpreadRun
from edge.models.evaluate.contest import Contestant, EvaluateOptions
from edge.models.evaluate.evaluation import evaluate, without_times
from edge.models.frame_sequence import FrameSequence
from edge.models.good_frames import good_frames
from edge.models.sets.frame_set import hashed
from edge.models.sets.open import open_set
from edge.shift.stress import LineLimits, StressRun, run_stress
from edge.shift.stress_task import ways_of
from edge.shift.subject import open_subject
from edge.spread import shards_of, spread

pytestmark = [
    # not imported here: Ray reads whether there is a token when it is loaded
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra 'cluster' is not installed"),
    pytest.mark.timeout(240),  # Ray's head takes 5 s to start, and a minute on a busy machine
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]
TOKEN = "a" * 40


@dataclass(frozen=True)
class Sees:
    """What a machine sees: its process's number is another in every process."""

    always_the_same: bool

    def __call__(self) -> str:
        return "3 frames" if self.always_the_same else f"{os.getpid()} frames"


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Address of a head node with two CPUs that asks for a token; this process has it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "RAY_USAGE_STATS_ENABLED": "0"}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parent)])
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", f"--port={port}", "--num-cpus=2", "--block"]
    head = subprocess.Popen(
        [*command, "--include-dashboard=false", "--object-store-memory=100000000"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert head.stdout is not None
    address = ""
    for line in head.stdout:
        if "Local node IP:" in line:
            address = f"{line.partition('Local node IP:')[2].strip()}:{port}"
        if "will now block" in line:
            break
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", TOKEN)
        yield address
    os.killpg(head.pid, signal.SIGTERM)
    try:
        head.wait(5)
    except subprocess.TimeoutExpired:
        os.killpg(head.pid, signal.SIGKILL)
        head.wait()


def test_results_are_those_of_one_process_in_order(cluster: str) -> None:
    spread_tasks.results_are_those_of_one_process_in_order(cluster=cluster, seen=Sees(always_the_same=True))


def test_a_killed_workers_shard_is_worked_on_once_more(cluster: str, tmp_path: Path) -> None:
    spread_tasks.a_killed_workers_shard_is_worked_on_once_more(tmp_path / "died", cluster=cluster)


def test_a_frame_that_kills_two_workers_is_named_and_the_rest_goes_on(cluster: str) -> None:
    spread_tasks.a_frame_that_kills_two_workers_is_named_and_the_rest_goes_on(cluster=cluster)


def test_what_the_task_tells_a_person_arrives_as_it_was_said(cluster: str) -> None:
    spread_tasks.what_the_task_tells_a_person_arrives_as_it_was_said(cluster=cluster)


def test_a_node_that_sees_other_frames_is_refused_by_name(cluster: str) -> None:
    with pytest.raises(UserError) as caught:
        spread(Count(), shards_of(8), cluster=cluster, seen=Sees(always_the_same=False))
    text = str(caught.value)
    assert text.startswith(
        f"--cluster: node {socket.gethostname()} ({cluster.split(':')[0]}) sees other frames than this machine"
    )
    assert f"  expected: {os.getpid()} frames\n" in text


def test_another_token_is_refused(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "b" * 40)
    with pytest.raises(UserError, match=f"--cluster {cluster}: the cluster refuses the token\n  received: another token"):
        spread(Count(), shards_of(8), cluster=cluster)


def test_thresholds_figures_and_what_a_model_stands_are_those_of_one_process(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from support.judged import fitted, parts_folder

    monkeypatch.setattr("edge.models.calibrate.spread_measure.SHARD_FRAMES", 8)
    bundle, folder = fitted(tmp_path / "model"), parts_folder(tmp_path / "set", good=24, bad=8)
    (tmp_path / "line.yaml").write_text(
        f"camera: cam1\nsource: {{kind: recorded, path: {folder / 'test/good'}, pace: max}}\n"
        f"model: {{bundle: {bundle}, engine: onnx}}\nregions: {{threshold: calibrated}}\ncalibration: c.yaml\n"
        "outputs: {zmq: null}\n"
    )
    line = load_config(tmp_path / "line.yaml").resolved
    good = good_frames(folder / "test" / "good")

    def measured(**keys: Any) -> Any:
        run = SpreadRun(FrameSequence.of(good), **keys)
        calibration, result = measure(line, lambda: iter(good), source="good", outliers="keep", run=run)
        return calibration.model_copy(update={"created": ""}), result

    assert measured(cluster=cluster) == measured(workers=1)
    source = hashed(open_set(folder), pytest.fail)
    reports = [
        orjson.dumps(without_times(evaluate(source, [Contestant("model", bundle)], EvaluateOptions(cluster=at))[0]))
        for at in (None, cluster)
    ]
    assert reports[0] == reports[1]
    subject = open_subject(bundle, threshold=9.0)
    stressed = [
        run_stress(subject, source, source.frames, ways_of(["noise"]), run=StressRun(cluster=at)).to_json(
            subject, LineLimits(), 0
        )
        for at in (None, cluster)
    ]
    assert stressed[0] == stressed[1]
