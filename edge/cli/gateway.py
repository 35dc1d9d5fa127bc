"""``edge gateway`` puts a line's verdicts into other networks' words, for programs that can't subscribe."""

from __future__ import annotations

import asyncio
import math
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from edge.cli._either_way import IS_CONFIG
from edge.cli._options import SetOption
from edge.client.pass_rule import Wanted
from edge.errors import UserError
from edge.gateways.line_watch import LineWatch
from edge.gateways.modbus import ModbusServer, serve
from edge.gateways.registers import Registers
from edge.service.find_line import find_keys, follow_line
from edge.service.sd_notify import notify

app = typer.Typer(no_args_is_help=True, add_completion=False)
_BENCH = "BENCH ONLY: verdicts of simulated and recorded frames are shown as real ones."


@app.callback()
def gateway() -> None:
    """Give a line's verdicts to programs that can't subscribe. Each gateway is a process of its own beside the daemon."""


@app.command("modbus")
def modbus(
    line: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG", help="The line's config (.yaml); or a daemon's runtime folder, tcp://HOST:PORT or ipc://PATH."
        ),
        IS_CONFIG,
    ],
    camera: Annotated[
        str | None, typer.Option(help="The camera's name, where CONFIG is an endpoint.", show_default=False)
    ] = None,
    bind: Annotated[str, typer.Option(metavar="ADDRESS", help="Address that PLCs connect to.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="502 needs CAP_NET_BIND_SERVICE. 0: any free one, which is printed.")
    ] = 1502,
    max_age_ms: Annotated[float, typer.Option(min=1, max=60_000, help="A verdict is shown this long.")] = 500.0,
    score_scale: Annotated[float, typer.Option(min=0, help="Factor of registers 10 and 11, which hold integers.")] = 1e4,
    recipe: Annotated[
        str | None, typer.Option(help="Show no pass that another recipe_id made.", show_default=False)
    ] = None,
    config_sha256: Annotated[
        str | None,
        typer.Option(help="Show no pass that another config made: its hash, or the first 8 digits.", show_default=False),
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="Your own secret key (.key_secret), for a daemon with CURVE keys.")
    ] = None,
    server_key: Annotated[
        Path | None, typer.Option(help="The daemon's public key (.key); not needed where CONFIG is a line's config.")
    ] = None,
    allow_simulated: Annotated[
        bool, typer.Option("--allow-simulated", help="BENCH ONLY: pass parts that no camera saw.")
    ] = False,
    overrides: SetOption = None,
) -> None:
    """Answer PLCs over Modbus TCP: 29 registers of the latest verdict, read-only. docs/plc.md has the map and PLC code.

    Begins before the daemon does, and outlives it.

    Exit codes: 0 after SIGTERM or Ctrl-C, 2 a mistake, 6 the port or address can't be had now.
    """
    _check(max_age_ms, score_scale, recipe, config_sha256)
    if allow_simulated:
        _tell(f"{'!' * 78}\n{_BENCH}\n{'!' * 78}")
    name, find = follow_line(line, camera, overrides or ())
    with LineWatch(find, name, keys=find_keys(line, key, server_key, overrides or ()), tell=_tell) as watch:
        registers = Registers(
            watch,
            max_age_ms / 1000,
            allow_simulated=allow_simulated,
            score_scale=score_scale,
            recipe_id=recipe,
            config_sha256=config_sha256,
            tell=_tell,
        )
        asyncio.run(_serve(watch, registers, bind, port))


def _check(max_age_ms: float, score_scale: float, recipe: str | None, config_sha256: str | None) -> None:
    """Refuse what no option's range can: a number that is none would keep every verdict for ever."""
    for option, value in (("--max-age-ms", max_age_ms), ("--score-scale", score_scale)):
        if not math.isfinite(value):
            raise UserError(option, received=value, expected="a number")
    try:
        Wanted(recipe_id=recipe, config_sha256=config_sha256)
    except ValueError as error:
        what = str(error).replace("config_sha256", "--config-sha256", 1)
        raise UserError(what, fix="edge log --records shows config_sha256 of each record") from None


async def _serve(watch: LineWatch, registers: Registers, bind: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def ready(opened: int) -> None:
        _tell(f"Modbus TCP on {bind}:{opened}, camera {watch.camera}")
        notify("READY=1")

    def each_second() -> None:
        watch.look()
        notify("WATCHDOG=1")

    await serve(ModbusServer(registers.read), bind, port, ready=ready, each_second=each_second, stop=stop)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
