"""The command ``edge`` has one small file per command; errors that a person can mend are printed without a traceback."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from edge import __version__
from edge.errors import ExitCode, UserError
from edge.service.logs import set_up_logs

NAMES = (
    "run",
    "reload",
    "install-service",
    "replay",
    "record",
    "export",
    "log",
    "subscribe",
    "fleet",
    "gateway",
    "check",
    "doctor",
    "fit",
    "build",
    "backbone",
    "calibrate",
    "gather",
    "label",
    "split",
    "audit",
    "evaluate",
    "stress",
    "import-config",
    "cameras",
    "demo",
    "bundle",
    "keys",
    "config-schema",
)
"""Commands in the order of ``edge --help``. Each is a file here, with a function of its name, or ``app`` for a group."""


class _Commands(TyperGroup):
    """A command's file is imported only when the command is used: the model runtimes take half a second to load, which
    ``edge subscribe`` should not wait for.
    """

    def list_commands(self, _ctx: Any) -> list[str]:
        return list(NAMES)

    def get_command(self, _ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in NAMES:
            self.commands.update({name: self.get_command(_ctx, name) for name in NAMES})  # to say which was meant
        elif cmd_name not in self.commands:
            stem = cmd_name.replace("-", "_")
            module = import_module(f"edge.cli.{stem}")
            group = getattr(module, "app", None)
            if group is None:
                group = typer.Typer(add_completion=False)
                group.command(cmd_name)(getattr(module, stem))
            self.commands[cmd_name] = typer.main.get_command(group)
            self.commands[cmd_name].name = cmd_name
        return self.commands.get(cmd_name)


app = typer.Typer(name="edge", cls=_Commands, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edge-inspect {__version__}, Python {platform.python_version()}, {platform.machine()}")
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
    try:
        app()
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    except OSError as error:  # what no command foresaw: a full disk behind standard output, say
        with contextlib.suppress(OSError):
            print(f"{_place(error)}{error.strerror or error}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the interpreter flushes it once more at its end
        sys.exit(ExitCode.NO)
    finally:
        try:
            sys.stderr.flush()
        except OSError:  # nobody reads it any more: flushed again by the interpreter, it would make the exit code 120
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _place(error: OSError) -> str:
    """Where it happened. A write that failed names no file; standard output is to blame where it still can't be flushed."""
    if error.filename:
        return f"{error.filename}: "
    try:
        sys.stdout.flush()
    except OSError:
        return "standard output: "
    return ""


if __name__ == "__main__":
    main()
