"""The command ``edge``: one small file per command; errors that a person can mend are printed without a traceback."""

from __future__ import annotations

import contextlib
import os
import sys

import typer

from edge.cli import (
    build,
    bundle,
    calibrate,
    cameras,
    check,
    demo,
    doctor,
    export,
    fit,
    fleet,
    import_config,
    install_service,
    keys,
    log,
    record,
    reload,
    replay,
    run,
    subscribe,
)
from edge.errors import UserError
from edge.logs import set_up_logs

app = typer.Typer(
    name="edge",
    help="Streaming defect inspection for factory cameras.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("run")(run.run)
app.command("reload")(reload.reload)
app.command("install-service")(install_service.install_service)
app.command("replay")(replay.replay)
app.command("record")(record.record)
app.command("export")(export.export)
app.command("log")(log.log)
app.command("subscribe")(subscribe.subscribe)
app.command("fleet")(fleet.fleet)
app.command("check")(check.check)
app.command("doctor")(doctor.doctor)
app.command("fit")(fit.fit)
app.command("build")(build.build)
app.command("calibrate")(calibrate.calibrate)
app.command("import-config")(import_config.import_config)
app.command("cameras")(cameras.cameras)
app.command("demo")(demo.demo)
bundles = typer.Typer(help="Model bundles.", no_args_is_help=True)
bundles.command("check")(bundle.check)
app.add_typer(bundles, name="bundle")
app.add_typer(keys.app, name="keys")


def main() -> None:
    """Run the command line. Exit codes: 0 clean, 2 a mistake to mend, 3 to 6 as the daemon's, 130 interrupted."""
    set_up_logs("warning")
    try:
        app()
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:  # what no command foresaw: a full disk behind standard output, say
        with contextlib.suppress(OSError):
            print(f"{error.filename or 'standard output'}: {error.strerror or error}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the interpreter flushes it once more at its end
        sys.exit(1)


if __name__ == "__main__":
    main()
