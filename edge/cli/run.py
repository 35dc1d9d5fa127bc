"""``edge run`` is the daemon."""

from __future__ import annotations

import faulthandler
import sys
from contextlib import nullcontext
from typing import Annotated

import typer

from edge.cli._bars import build_bar
from edge.cli._live_table import shown_live
from edge.cli._options import ConfigOption, SetOption
from edge.config.load import load_config
from edge.errors import UserError
from edge.service.daemon import run_daemon
from edge.service.descriptors import use_descriptors
from edge.service.logs import drain_logs, set_up_logs


def run(
    config: ConfigOption,
    log_lines: Annotated[bool, typer.Option("--log", help="Log lines on a terminal, too, instead of the table.")] = False,
    overrides: SetOption = None,
) -> None:
    """Inspect one camera until SIGTERM or SIGINT. A terminal shows a live table; elsewhere log lines go to standard error.

    Exit codes: 0 clean, 2 config, 3 a stage failed for good, 4 a stage hung, 5 restart after source.max_reconnects,
    6 another instance runs.
    """
    faulthandler.enable()  # SIGABRT, which systemd's watchdog sends, leaves the stacks of all threads in the journal
    set_up_logs("info")
    use_descriptors()
    loaded = load_config(config, overrides or ())
    live = not log_lines and sys.stdout.isatty() and sys.stderr.isatty()
    try:
        with shown_live() if live else nullcontext() as each_turn:
            code = run_daemon(loaded, each_turn=each_turn, show_build=build_bar)
    except UserError as error:
        raise loaded.located(error) from None
    finally:
        drain_logs()
    raise typer.Exit(code)
