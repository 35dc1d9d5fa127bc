"""A line's YAML is changed as a person would, so that it uses a calibration file: the rest, comments included, stays.

Such a file belongs to people. Whoever writes the text checks first that it says what the file said, and these two keys.
"""

from __future__ import annotations

import re

_FLOW_VALUE = r"(?:\{[^{}]*\}|[^,}\s#][^,}#\n]*?)"


def lines_to_paste(calibration: str) -> str:
    """Return the lines that make a config use a calibration file."""
    return f"calibration: {calibration}\nregions:\n  threshold: calibrated"


def calibrated_text(text: str, calibration: str) -> str:
    """Return a config's text with ``calibration`` and ``regions.threshold: calibrated`` in it, as far as its style is
    known: block style, and ``regions: {...}`` on one line.
    """
    lines = text.splitlines()
    lines = _with_threshold(lines)
    key = f"calibration: {calibration}"
    at = _top_level(lines, "calibration")
    if at is not None:
        lines[at] = key + _comment(lines[at])
    else:
        at = _top_level(lines, "regions")
        lines.insert(len(lines) if at is None else at, key)
    return "\n".join(lines) + "\n"


def _with_threshold(lines: list[str]) -> list[str]:
    at = _top_level(lines, "regions")
    if at is None:
        return [*lines, "regions:", "  threshold: calibrated"]
    if "{" in lines[at].partition("#")[0]:
        return [*lines[:at], _in_flow(lines[at]), *lines[at + 1 :]]
    end = _end_of_block(lines, at)
    for index in range(at + 1, end):
        found = re.match(r"( +)threshold:", lines[index])
        if found is not None and len(found[1]) == _indent(lines[at + 1 : end]):
            after = _end_of_block(lines, index)
            return [*lines[:index], f"{found[1]}threshold: calibrated{_comment(lines[index])}", *lines[after:]]
    indent = " " * (_indent(lines[at + 1 : end]) or 2)
    return [*lines[: at + 1], f"{indent}threshold: calibrated", *lines[at + 1 :]]


def _in_flow(line: str) -> str:
    changed, count = re.subn(rf"\bthreshold:\s*{_FLOW_VALUE}(?=\s*[,}}])", "threshold: calibrated", line, count=1)
    if count:
        return changed
    inside = re.search(r"\{\s*(.)", line)
    comma = "" if inside is not None and inside[1] == "}" else ", "
    return line.replace("{", f"{{threshold: calibrated{comma}", 1)


def _top_level(lines: list[str], key: str) -> int | None:
    return next((index for index, line in enumerate(lines) if re.match(rf"{key}:(\s|$)", line)), None)


def _end_of_block(lines: list[str], at: int) -> int:
    """Return the index after the last line that is indented deeper than line ``at``, blank ones and comments at its end
    left out.
    """
    own, end = _indent(lines[at : at + 1]), at + 1
    for index in range(at + 1, len(lines)):
        bare = lines[index].strip()
        if not bare or bare.startswith("#"):
            continue
        if _indent(lines[index : index + 1]) <= own:
            break
        end = index + 1
    return end


def _indent(lines: list[str]) -> int:
    """Return the indentation of the first line that says anything."""
    return next((len(line) - len(line.lstrip()) for line in lines if line.strip() and not line.lstrip().startswith("#")), 0)


def _comment(line: str) -> str:
    found = re.search(r"\s+#.*$", line)
    return found[0] if found else ""
