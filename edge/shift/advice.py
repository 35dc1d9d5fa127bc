"""What a person does about each cause, in one phrase."""

from __future__ import annotations

from typing import Final

from edge.drift.named import UNKNOWN

_ADAPT: Final = "or edge adapt"
ADVICE: Final[dict[str, str]] = {
    "brightness": f"set lamp or exposure back, {_ADAPT}",
    "stray_light": f"shield the part from other light, {_ADAPT}",
    "gradient": f"more even light, {_ADAPT}",
    "shadow": f"look for what stands in the light, {_ADAPT}",
    "contrast": f"look for haze on lens or window and for other light, {_ADAPT}",
    "gamma": "set the camera's gamma and black level back",
    "clipped": "reduce exposure: no model sees what is clipped",
    "colour_cast": "set the white balance back, or replace the lamp",
    "flicker": "feed the lamp with direct current, or expose over whole periods",
    "defocus": f"focus the lens, {_ADAPT}",
    "motion_blur": "expose for a shorter time, with more light",
    "noise": f"more light and less gain, {_ADAPT}",
    "banding": "look at the camera's supply, cable and lamp",
    "jpeg": "send and keep frames without loss",
    "dust": "clean lens and window",
    "vignette": f"look at lens, filter and light, {_ADAPT}",
    "shift": f"set camera or part holder back, {_ADAPT}",
    "rotation": f"set camera or part holder back, {_ADAPT}",
    "scale": f"set the working distance back, {_ADAPT}",
    "occlusion": "look at the frames: something is in front of the part",
    "background": f"look at what lies around the part, or leave it out by an ROI, {_ADAPT}",
    "product": "another product or variant wants a recipe and a model of its own",
    "finish": "another surface: add good frames of it to the fit (edge adapt, edge fit --add)",
    UNKNOWN: "look at the frames that differ most",
}


def advice_for(cause: str) -> str:
    """The phrase for a cause, by its name in ``edge.disturb``."""
    return ADVICE.get(cause, ADVICE[UNKNOWN])
