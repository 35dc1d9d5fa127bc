"""``edge reload`` makes a running daemon take up its changed config, or says why it can't."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Annotated

import orjson
import typer

from edge.cli._console import say
from edge.cli._either_way import IS_CONFIG
from edge.cli._json import JsonOption, print_json
from edge.config.bundle import load_bundle
from edge.config.line import Config
from edge.config.load import Loaded, load_config
from edge.engines.line_engine import scales_sha256
from edge.errors import ExitCode, UserError
from edge.regions.criteria import load_criteria
from edge.service.instance_lock import holder, send_signal
from edge.service.instances import Instance, find_instance
from edge.service.reload import RELOADED, needs_restart
from edge.service.runtime_folder import INSTANCE, ReloadReport, read_json, read_reload
from edge.storage.mask_picture import read_mask


def reload(
    line: Annotated[
        str, typer.Argument(metavar="CAMERA|CONFIG", help="The camera's name, its config or runtime folder."), IS_CONFIG
    ],
    timeout_s: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds to wait for the model to load.")] = 120.0,
    as_json: JsonOption = False,
) -> None:
    """Check the config of a running daemon and have it reloaded between two frames: recipe_id, deadline_ms, model,
    calibration, regions.

    The daemon is not asked while the config is wrong. Exit codes: 0 reloaded; 1 refused by the daemon, which runs on as
    before; 2 the config is wrong, a key needs a restart, or no daemon runs.
    """
    instance = find_instance(line)
    loaded = check_reload(instance)
    assert instance.pid is not None
    before, asked_ns = read_reload(instance.folder), time.monotonic_ns()
    try:
        send_signal(instance.folder, instance.pid, signal.SIGHUP)
    except PermissionError:
        raise UserError(
            f"camera {instance.camera}: process {instance.pid} takes no signal of this user",
            fix=f"sudo edge reload {instance.camera}, or sudo systemctl reload edge@{instance.camera}",
        ) from None

    def answers(report: ReloadReport) -> bool:
        """Return True if the report answers our request. A reload that was already under way may have read the old config;
        another one follows it.
        """
        return report != before and (report.began_ns >= asked_ns or report.tried_sha256 == loaded.sha256)

    report = wait(instance, answers, timeout_s)
    if as_json:
        answer = {"camera": instance.camera, "reloaded": report.refused is None, "refused": report.refused}
        print_json({**answer, "config_sha256": report.config_sha256, "checked_sha256": loaded.sha256})
        raise typer.Exit(ExitCode.NO if report.refused is not None else ExitCode.OK)
    if report.refused is not None:
        say(f"camera {instance.camera}: refused, it runs on as before\n{report.refused}")
        raise typer.Exit(ExitCode.NO)
    say(f"camera {instance.camera}: reloaded, config {report.config_sha256[:12]}")
    if report.config_sha256 != loaded.sha256:
        print(f"the file was changed while this was going on: {loaded.sha256[:12]} was checked")


def check_reload(instance: Instance) -> Loaded:
    """Check the daemon's config as it stands now, as far as that can be done without opening the model, and return it.

    Raises:
        UserError: the config is wrong, or keys have changed that need a restart.
    """
    if instance.config is None:
        raise UserError(f"{instance.folder / INSTANCE}: names no config", fix="restart the daemon")
    loaded = load_config(instance.config, instance.overrides)
    running = running_config(instance)
    changed = needs_restart(running, loaded.config) if running is not None else []
    if changed:
        raise UserError(
            f"{instance.config}: {', '.join(changed)}: changed, and needs a restart",
            expected=f"changes of {', '.join(RELOADED)} only",
            fix=f"systemctl restart edge@{instance.camera}, or undo it",
        )
    config = loaded.resolved
    bundle = load_bundle(config.model.bundle)
    scales = scales_sha256(config.model, config.source, bundle)
    load_criteria(config, bundle, scales, read_mask(config.regions.roi), named=loaded.path)
    return loaded


def running_config(instance: Instance) -> Config | None:
    """Return the config that the daemon was started with; None if another version wrote it."""
    try:
        return Config.model_validate_json(orjson.dumps(read_json(instance.folder, INSTANCE).get("effective")))
    except ValueError:
        return None


def wait(instance: Instance, answers: Callable[[ReloadReport], bool], timeout_s: float) -> ReloadReport:
    """Wait for the first report that answers.

    Raises:
        UserError: no answer came, or the daemon has ended.
    """
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        report = read_reload(instance.folder)
        if report is not None and answers(report):
            return report
        if holder(instance.folder) != instance.pid:
            raise UserError(
                f"camera {instance.camera}: process {instance.pid} has ended", fix=f"journalctl -u edge@{instance.camera}"
            )
        time.sleep(0.05)
    raise UserError(
        f"camera {instance.camera}: no answer within {timeout_s:g} s",
        fix="a big model may take longer: give --timeout; `edge subscribe` shows the state",
    )
