#!/usr/bin/env python3
"""A daemon's verdicts as a Modbus TCP server that a PLC polls: an example of what can be built on `edge.client.subscriber`.

    pip install 'edge-inspect[gateway]'
    scripts/plc_gateway.py configs/line1.yaml --camera cam1

29 registers from address 0, the same as holding (FC03) and as input registers (FC04), read-only. Read all of them with
one request: only one request is one moment. 32-bit values have their high word first. Numbers that don't fit are cut to
the largest that does.

     0     version of this map: 1
     1     seq of the record, low 16 bits; the same stands in 23: read again if they differ
     2     status bits: 0 ready, 1 frames in work, 2 fault, 3 simulated, 4 drift, 5 toggles with each record,
           6 part id present, 7 the registers from 4 on tell of a fresh record
     3     heartbeat: counts up while the inspection moves, at the latest each second; stands still when anything is wrong
     4-5   part id, low 32 bits; 0 without one
     6-7   frame id, low 32 bits
     8     verdict: 0 not valid, 1 pass, 2 fail
     9     why it isn't a pass: see WHY; schema: the daemon says something that this program can't read
    10-11  highest value of the map, threshold: each times --score-scale
    12     regions
    13-16  largest region in image pixels: x, y, width, height
    17     age of the record in ms
    18     its latency in ms
    19-20  frames that the camera announced and never delivered whole
    21-22  frames that came and were not inspected
    23     seq again
    24-25  recipe that made the record: first 32 bits of the SHA-256 of its recipe_id (printf %s tile-40 | sha256sum);
           0 without one
    26-27  config that made it: first 32 bits of its config_sha256
    28     seq once more, for whoever reads on after 23

The PLC passes a part only if, inside its own window after the trigger, 3 still moves, 1 equals 23, 4-5 is this part, 24-25
is the recipe that it runs and 8 is 1; anything else, no answer included, is a reject. A changeover that the daemon refused
leaves the old recipe at work: 24-25 shows it, and with --recipe the gateway itself shows no pass of another one. A verdict
disappears from 8 after --max-age-ms. What the registers say is worked out when they are read, so that a gateway that hangs
answers nothing at all.

Modbus knows no passwords: bind it to the machine's own network only. This is no safety function.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import sys
from pathlib import Path
from typing import Any

try:
    from pymodbus.constants import ExcCodes
    from pymodbus.server import ModbusTcpServer
    from pymodbus.simulator import DataType, SimData, SimDevice
except ImportError:
    sys.exit("the Modbus server is not installed\n  fix: pip install 'edge-inspect[gateway]'")

from edge.client import Latest, Subscriber
from edge.errors import UserError
from edge.service.find_line import find_endpoint, find_keys

COUNT = 29
MAP_VERSION = 1
NOT_VALID, PASS, FAIL = 0, 1, 2
READY, BUSY, FAULT, SIMULATED, DRIFT, TOGGLE, HAS_PART, FRESH = (1 << bit for bit in range(8))
WHY = {
    "pass": 0,
    "fail": 1,
    "invalid": 2,
    "no_record": 3,
    "late": 4,
    "gap": 5,
    "restart": 6,
    "stale": 7,
    "simulated": 8,
    "schema": 9,
    "ambiguous": 10,
    "recipe": 11,
}
PROGRESS_MS = 2000.0
"""A stage that made no progress for longer stops the heartbeat register; an idle trigger is progress."""
_NEVER_CAME = ("frame_id_gap", "incomplete")
_READS = (3, 4)  # function codes
_MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class Gateway:
    """From what a subscriber knows to 29 registers."""

    def __init__(
        self,
        line: Subscriber,
        max_age_s: float,
        *,
        allow_simulated: bool,
        score_scale: float,
        recipe_id: str | None = None,
        config_sha256: str | None = None,
    ) -> None:
        """``recipe_id``, ``config_sha256``: what a record must have been made by to be shown as a pass; None: by any."""
        self._line = line
        self._max_age_s = max_age_s
        self._allow_simulated = allow_simulated
        self._made_by = {"recipe_id": recipe_id, "config_sha256": config_sha256}
        self._scale = score_scale
        self._beats = 0
        self._last_beat: object = None
        self._trouble: str | None = None

    def registers(self) -> list[int]:
        """The registers of this moment: not valid, and told once, where a message doesn't say what it should."""
        latest = self._line.latest(self._max_age_s, allow_simulated=self._allow_simulated, **self._made_by)
        try:
            registers, trouble = self._shown(latest), None
        except _MALFORMED as error:
            registers, trouble = [0] * COUNT, f"{type(error).__name__}: {error}"
            registers[0], registers[2], registers[3], registers[9] = MAP_VERSION, FAULT, self._beats, WHY["schema"]
        if trouble is not None and self._trouble is None:
            print(f"what the daemon says can't be shown: {trouble}", file=sys.stderr, flush=True)
        elif trouble is None and self._trouble is not None:
            print("what the daemon says can be shown again", file=sys.stderr, flush=True)
        self._trouble = trouble
        return registers

    def _shown(self, latest: Latest) -> list[int]:
        decision, beat = latest.decision, latest.heartbeat
        fresh_beat = latest.heartbeat_age_s <= self._line.stale_s
        moves = beat is not None and fresh_beat and beat["progress_age_ms"] <= PROGRESS_MS
        if moves and beat is not None and beat["created_ns"] != self._last_beat:
            self._last_beat = beat["created_ns"]
            self._beats = (self._beats + 1) & 0xFFFF
        registers = [0] * COUNT
        registers[0] = MAP_VERSION
        registers[3] = self._beats
        registers[2] = self._status(latest, moves=moves)
        registers[9] = WHY[decision.why]
        if beat is not None:
            skipped = {k.removeprefix("skipped_"): v for k, v in beat["counters"].items() if k.startswith("skipped_")}
            never_came = sum(v for k, v in skipped.items() if k in _NEVER_CAME)
            registers[19:21] = _two_words(min(never_came, 0xFFFFFFFF))
            registers[21:23] = _two_words(min(sum(skipped.values()) - never_came, 0xFFFFFFFF))
        if decision.record is not None:
            self._tell(decision.record, registers)
            registers[17] = _word(latest.record_age_s * 1000)
        if decision.accept:
            registers[8] = PASS if moves else NOT_VALID
        elif decision.why == "fail":
            registers[8] = FAIL
        return registers

    def _status(self, latest: Latest, *, moves: bool) -> int:
        record, beat, state = latest.decision.record, latest.heartbeat, latest.state
        simulated = any(m is not None and m["simulated"] for m in (record, beat))
        bits = {
            READY: moves and state is not None and state["line_state"] in ("Ready", "ContinuousExecution"),
            BUSY: moves and beat is not None and beat["ring_fill"] > 0,
            FAULT: not moves or state is None or bool(state["faults"]),
            SIMULATED: simulated,
            DRIFT: state is not None and state["drift"] is not None,
            TOGGLE: record is not None and bool(record["seq"] & 1),
            HAS_PART: record is not None and record["part_id"] is not None,
            FRESH: record is not None and latest.record_age_s <= self._max_age_s,
        }
        return sum(bit for bit, is_set in bits.items() if is_set)

    def _tell(self, record: dict[str, Any], registers: list[int]) -> None:
        registers[1] = registers[23] = registers[28] = record["seq"] & 0xFFFF
        recipe_id = record["recipe_id"]
        if recipe_id is not None:
            registers[24:26] = _two_words(int(hashlib.sha256(recipe_id.encode()).hexdigest()[:8], 16))
        registers[26:28] = _two_words(int(record["config_sha256"][:8], 16))
        if record["kind"] != "inspection":
            return
        registers[4:6] = [0, 0] if record["part_id"] is None else _two_words(record["part_id"])
        registers[6:8] = _two_words(record["frame_id"])
        registers[10] = _word((record["map_max"] or 0.0) * self._scale)
        registers[11] = _word(record["threshold"] * self._scale)
        regions = record["regions"]
        registers[12] = _word(len(regions))
        if regions:
            x0, y0, x1, y1 = max(regions, key=lambda region: region["area_px"])["bbox_xyxy"]
            registers[13:17] = [_word(v) for v in (x0, y0, x1 - x0, y1 - y0)]
        registers[18] = _word(record["latency_ms"]["total"])


def _word(value: float) -> int:
    return int(min(max(value, 0), 0xFFFF))


def _two_words(value: int) -> list[int]:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is no integer")
    return [value >> 16 & 0xFFFF, value & 0xFFFF]


def device(gateway: Gateway) -> SimDevice:
    """A Modbus device whose registers are filled in at each read; writing is refused."""

    async def fill(
        function_code: int, _start: int, _address: int, _count: int, registers: list[int], values: object
    ) -> ExcCodes | None:
        if function_code not in _READS or values is not None:
            return ExcCodes.ILLEGAL_FUNCTION
        registers[:COUNT] = gateway.registers()
        return None

    return SimDevice(id=0, simdata=[SimData(0, count=COUNT, datatype=DataType.REGISTERS)], action=fill)


async def serve(gateway: Gateway, host: str, port: int) -> None:
    """Answer PLCs until cancelled."""
    server = ModbusTcpServer(device(gateway), address=(host, port))
    try:
        await server.serve_forever()
    finally:
        await server.shutdown()


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("endpoint", help="tcp://HOST:PORT, ipc://PATH, a line's config or a daemon's runtime folder")
    parser.add_argument("--camera", required=True, help="the camera's name, as in its config")
    parser.add_argument("--key", type=Path, help="our own secret key (.key_secret), for a daemon with CURVE keys")
    parser.add_argument("--server-key", type=Path, help="the daemon's public key (.key)")
    parser.add_argument("--bind", default="127.0.0.1", help="address that PLCs connect to (%(default)s)")
    parser.add_argument("--port", type=int, default=1502, help="(%(default)s; 502 needs CAP_NET_BIND_SERVICE)")
    parser.add_argument("--max-age-ms", type=float, default=500.0, help="a verdict is shown this long (%(default)s)")
    parser.add_argument("--score-scale", type=float, default=10_000.0, help="for registers 10 and 11 (%(default)s)")
    parser.add_argument("--recipe", help="show no pass that another recipe_id made")
    parser.add_argument("--config-sha256", help="show no pass that another config made: its hash, or the first 8 digits")
    parser.add_argument("--allow-simulated", action="store_true", help="BENCH ONLY: pass parts that no camera saw")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    if options.allow_simulated:
        print("!" * 78, file=sys.stderr)
        print("BENCH ONLY: verdicts of simulated and recorded frames are shown as real ones.", file=sys.stderr)
        print("!" * 78, file=sys.stderr)
    try:
        keys = find_keys(options.endpoint, options.key, options.server_key)
        with Subscriber(find_endpoint(options.endpoint), options.camera, keys=keys, keep_s=0) as line:
            gateway = Gateway(
                line,
                options.max_age_ms / 1000,
                allow_simulated=options.allow_simulated,
                score_scale=options.score_scale,
                recipe_id=options.recipe,
                config_sha256=options.config_sha256,
            )
            gateway.registers()  # a hash that is none ends it here
            print(f"Modbus TCP on {options.bind}:{options.port}, camera {options.camera}", file=sys.stderr)
            asyncio.run(serve(gateway, options.bind, options.port))
    except (UserError, RuntimeError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
