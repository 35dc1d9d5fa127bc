"""``edge calibrate --drift``: what is usual on the line, into the calibration file that is there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from edge.cli._bars import spread_bar
from edge.cli._console import labelled, text_console
from edge.cli._good_frames import show_notes
from edge.cli._incomplete import end_if_incomplete
from edge.cli._options import declared_bits
from edge.cli._tables import print_table
from edge.config.calibration import Calibration
from edge.config.load import Loaded
from edge.drift.baseline import Baseline
from edge.drift.statistics import STATISTICS
from edge.errors import UserError
from edge.models.calibrate.drift_file import save_drift
from edge.models.calibrate.drift_measure import measure_drift
from edge.models.frame_sequence import FrameSequence
from edge.models.good_frames import good_frames
from edge.storage.calibration_file import save_calibration


def calibrate_drift(
    loaded: Loaded,
    sources: Sequence[Path],
    out: Path,
    *,
    every: int | None,
    signatures: int | None,
    bits: int | None,
    workers: int | None,
) -> None:
    """Measure the drift reference of the line, and write it beside the calibration file ``out``, which then names it."""
    if not out.exists():
        raise UserError(
            f"{out}: no calibration file to add a drift reference to",
            fix="run edge calibrate without --drift on good frames first; it measures the thresholds",
        )
    calibration = Calibration.load(out)
    console = text_console()
    places = [good_frames(source, declared_bits(bits, loaded.config.source), side="calibrate") for source in sources]
    show_notes(console, [note for place in places for note in place.notes])
    with spread_bar() as bar:
        try:
            baseline, spec = measure_drift(
                loaded.resolved,
                FrameSequence.of(*places),
                sources=tuple(str(source) for source in sources),
                every=every,
                signatures=signatures,
                workers=workers,
                tell=bar,
            )
        except UserError as error:
            raise loaded.located(error) from None
    spec = save_drift(baseline, spec, out)
    old = calibration.drift
    save_calibration(calibration.model_copy(update={"drift": spec}), out)
    if old is not None and old.file != spec.file:
        out.with_name(old.file).unlink(missing_ok=True)
    _show(baseline)
    console.print(
        f"{spec.frames} frames measured, every {spec.every}; {spec.signatures} signatures; "
        + ("parts are registered" if baseline.template.fixed else "no common pose: frames are measured as a whole"),
    )
    if spec.note:
        console.print(labelled("note:", "yellow", spec.note))
    console.print(f"wrote {out.with_name(spec.file)}, and its name into {out}")
    end_if_incomplete(tuple(text for place in places for text in place.lacks))


def _show(baseline: Baseline) -> None:
    reference = baseline.reference()
    table = Table(title="what is usual", title_justify="left")
    for column in ("statistic", "middle", "deviation", "of blocks", "time constant", "limit"):
        table.add_column(column, justify="left" if column == "statistic" else "right")
    limit = 5 * reference.block_sigma * reference.widening
    for number, statistic in enumerate(STATISTICS):
        table.add_row(
            f"{statistic.name} ({statistic.unit})",
            f"{reference.center[number]:.3g}",
            f"{reference.sigma[number]:.2g}",
            f"{reference.block_sigma[number]:.2g}",
            f"{reference.tau[number]:.0f} frames",
            f"± {limit[number]:.2g}",
        )
    print_table(table)
