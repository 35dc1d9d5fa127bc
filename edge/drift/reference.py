"""What is usual on a line: the middle and the spread of each statistic over the calibration's frames, and how many
independent looks those were.

Neighbouring frames resemble each other (a lamp warms up, a batch of material lasts an hour), so that 5,000 frames may tell
as little as five. The time constant is estimated from the frames themselves (Sokal, "Monte Carlo Methods in Statistical
Mechanics", 1997: the integrated autocorrelation time with a window of five of itself), and limits are widened by what so
few looks leave open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.drift.floors import FLOORS
from edge.drift.statistics import NAMES
from edge.errors import UserError

BLOCK = 50
"""Measured frames whose median is compared."""
LEAST_BLOCKS = 4
ENOUGH_TIME_CONSTANTS = 20
"""A shorter reference is warned of. With variation of a time constant of 500 frames and one standard deviation on all
statistics, references of 10 and 20 time constants had a false warning in none of 100 and of 120 runs of 20,000 frames."""
_LEAST_LOOKS = 3.5
"""The variance of Student's t is infinite at 3: a reference of fewer looks widens limits about threefold."""
_WINDOW = 5
_STEP = 4.5
"""A step of the middle is a drift from so many standard deviations of what is around it."""
_RAMP = 0.93
"""So is a correlation of the middles with time from here on; a straight ramp makes a step of only 3.5 deviations."""
_MAD = 1.4826


@dataclass(frozen=True, slots=True)
class Reference:
    """``center, sigma``: median and robust standard deviation of single frames. ``block_sigma``: standard deviation of the
    medians of ``block`` frames, corrected for the mean's own. ``tau``: time constants, in measured frames. ``looks``: the
    effective sample size. All float64 (19,).

    ``frames``: how many were measured. ``notes``: what a person should know about it.
    """

    center: NDArray[np.float64]
    sigma: NDArray[np.float64]
    block_sigma: NDArray[np.float64]
    tau: NDArray[np.float64]
    looks: NDArray[np.float64]
    frames: int
    block: int
    notes: tuple[str, ...] = ()

    @property
    def widening(self) -> NDArray[np.float64]:
        """By how much limits are wider than with a reference without end: the spread of Student's t times that of the
        middle, sqrt(1 + 1/n) sqrt((n - 1)/(n - 3)).
        """
        looks = np.maximum(self.looks, _LEAST_LOOKS)
        return np.asarray(np.sqrt(1 + 1 / looks) * np.sqrt((looks - 1) / (looks - 3)))

    @property
    def jitter(self) -> NDArray[np.float64]:
        """By how much the blocks of the line itself vary, in deviations of single frames."""
        still = np.sqrt(np.pi / 2 / self.block)
        return np.asarray(np.where(self.block_sigma > FLOORS, self.block_sigma / self.sigma, still))

    def block_z(self, middle: NDArray[np.float64]) -> NDArray[np.float64]:
        """A block's median in widened deviations of the reference's blocks."""
        return np.asarray((middle - self.center) / (self.block_sigma * self.widening))

    def block_band(self, limit: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The medians of blocks that lie ``limit`` widened deviations below and above what is usual, (19,) each."""
        reach = limit * self.block_sigma * self.widening
        return np.asarray(self.center - reach), np.asarray(self.center + reach)

    def frame_z(self, middle: NDArray[np.float64]) -> NDArray[np.float64]:
        """A median in deviations of single frames, which naming goes by."""
        return np.asarray((middle - self.center) / self.sigma)


def make_reference(
    series: Sequence[NDArray[np.float64]], names: Sequence[Sequence[str]] = (), block: int = BLOCK
) -> Reference:
    """``series``: statistics (n, 19) of the measured frames of each recording, in order. ``names``: of the frames, for
    texts.

    Raises:
        UserError: too few frames, or the same picture over and over.
    """
    blocks = [medians(part, block) for part in series]
    middles = np.concatenate(blocks)
    values = np.concatenate(series)
    if len(middles) < LEAST_BLOCKS:
        raise UserError(
            "too few frames for a reference of what is usual",
            received=f"{len(values)} measured frames, {len(middles)} whole blocks of {block}",
            expected=f"at least {LEAST_BLOCKS * block} of one recording, better 20 times as many as the line's light and "
            "material take to change",
            fix="record longer, or measure more of the frames with --every 1",
        )
    if np.ptp(values, axis=0).max() == 0:
        raise UserError(
            "all frames are the same picture",
            received=f"{len(values)} frames without any difference",
            expected="frames of a running line: what is usual is learned from how they differ",
            fix="record the line while parts pass",
        )
    center = np.median(values, axis=0)
    sigma = np.maximum(_MAD * np.median(np.abs(values - center), axis=0), FLOORS)
    tau = _time_constants(blocks, series, block)
    looks = np.clip(len(values) / (2 * tau), 1.0, len(middles))
    spread = np.std(middles, axis=0, ddof=1) / np.sqrt(1 - 1 / np.maximum(looks, 2.0))
    # a few blocks may agree by chance: medians of independent frames differ by so much
    spread = np.maximum(spread, sigma * np.sqrt(np.pi / 2 / block))
    return Reference(
        center=np.median(middles, axis=0),
        sigma=sigma,
        block_sigma=np.maximum(spread, FLOORS),
        tau=tau,
        looks=looks,
        frames=len(values),
        block=block,
        notes=(*_short(tau, len(values)), *_own_drift(blocks, names, block)),
    )


def medians(values: NDArray[np.float64], block: int = BLOCK) -> NDArray[np.float64]:
    """Medians of the whole blocks of one recording, (n // block, 19)."""
    whole = len(values) // block
    return np.asarray(np.median(values[: whole * block].reshape(whole, block, values.shape[1]), axis=1))


def time_constants(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Integrated autocorrelation times of the columns of (n, k), in rows, at least 0.5; corrected for the mean that was
    taken away, which makes short series look less correlated.
    """
    count = len(values)
    centred = values - values.mean(axis=0)
    spectrum = np.abs(np.fft.rfft(centred, 2 * count, axis=0)) ** 2
    correlation = np.fft.irfft(spectrum, axis=0)[:count]
    correlation = correlation / np.maximum(correlation[0], 1e-30)
    sums = np.cumsum(correlation, axis=0) - 0.5
    beyond = np.arange(count)[:, None] >= _WINDOW * sums
    last = np.where(beyond.any(axis=0), beyond.argmax(axis=0), count - 1)
    tau = np.maximum(sums[last, np.arange(values.shape[1])], 0.5)
    return np.asarray(tau * (1 + 4 * tau / count))


def _time_constants(
    blocks: Sequence[NDArray[np.float64]], series: Sequence[NDArray[np.float64]], block: int
) -> NDArray[np.float64]:
    """In measured frames, of blocks where variation is slow and of single frames where it is quick.

    No statistic gets a shorter one than the upper tenth: an estimate from few looks is low as often as not, and the low
    ones are those that cry wolf. With the upper quartile 2 of 100 runs did, and now none does.
    """
    long = [part for part in blocks if len(part) >= LEAST_BLOCKS] or [np.concatenate(blocks)]
    of_blocks = np.max([time_constants(part) for part in long], axis=0) * block
    of_frames = np.max([time_constants(part) for part in series if len(part) >= block], axis=0)
    tau = np.where(of_frames > block, of_blocks, np.minimum(of_frames, of_blocks))
    return np.asarray(np.maximum(tau, np.quantile(tau, 0.9)))


def _short(tau: NDArray[np.float64], frames: int) -> list[str]:
    longest = int(np.argmax(tau))
    spans = frames / tau[longest]
    if spans >= ENOUGH_TIME_CONSTANTS:
        return []
    return [
        f"the reference spans {spans:.0f} time constants of {NAMES[longest]} ({tau[longest]:.0f} measured frames each), "
        f"{ENOUGH_TIME_CONSTANTS} are enough: limits are widened {_widest(tau, frames):.1f}-fold, and small changes unseen"
    ]


def _widest(tau: NDArray[np.float64], frames: int) -> float:
    looks = max(frames / (2 * float(tau.max())), _LEAST_LOOKS)
    return float(np.sqrt(1 + 1 / looks) * np.sqrt((looks - 1) / (looks - 3)))


def _own_drift(blocks: Sequence[NDArray[np.float64]], names: Sequence[Sequence[str]], block: int) -> list[str]:
    """The step or ramp in the reference itself, with the frame where it is; the clearest statistic of each recording."""
    notes = []
    for number, part in enumerate(blocks):
        if len(part) < 2 * LEAST_BLOCKS:
            continue
        best, place = _largest_step(part)
        ramp = np.abs(_with_time(part))
        worst = int(np.argmax(np.maximum(best / _STEP, ramp / _RAMP)))
        if best[worst] < _STEP and ramp[worst] < _RAMP:
            continue
        frame = place[worst] * block
        name = names[number][frame] if number < len(names) and frame < len(names[number]) else f"measured frame {frame}"
        before, after = np.median(part[: place[worst], worst]), np.median(part[place[worst] :, worst])
        notes.append(
            f"the reference itself drifts: {NAMES[worst]} goes from {before:.4g} to {after:.4g} around {name}; look at "
            "that picture, and calibrate on frames from after the change, or on several shifts"
        )
    return notes


def _with_time(middles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation of each column with time, of changes that are larger than the floor."""
    time = np.arange(len(middles)) - (len(middles) - 1) / 2
    centred = middles - middles.mean(axis=0)
    spread = np.maximum(np.sqrt(np.mean(centred**2, axis=0)), FLOORS)
    return np.asarray((time @ centred) / len(time) / (spread * np.sqrt(np.mean(time**2))))


def _largest_step(middles: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """For each column: the largest step between the means before and after one place, in standard deviations of what
    remains around them, and that place.
    """
    count = len(middles)
    places = np.arange(2, count - 1)
    sums, squares = np.cumsum(middles, axis=0), np.cumsum(middles**2, axis=0)
    before = sums[places - 1] / places[:, None]
    after = (sums[-1] - sums[places - 1]) / (count - places[:, None])
    within = (squares[-1] - places[:, None] * before**2 - (count - places[:, None]) * after**2) / count
    step = np.abs(after - before) / np.maximum(np.sqrt(np.maximum(within, 0)), FLOORS)
    return step.max(axis=0), places[step.argmax(axis=0)]
