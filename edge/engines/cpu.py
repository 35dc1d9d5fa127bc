"""A runtime emulates arithmetic that this CPU lacks, at a loss of speed and sometimes of right results, so it is checked
here.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_NEEDS = {
    "bf16": (("amx_bf16", "avx512_bf16", "bf16"), "AMX-BF16, AVX512-BF16 or ARM's BF16"),
    # with AVX2 alone ONNX Runtime sums products of 8 bits in 16 with saturation: other numbers
    "int8": (("avx512_vnni", "avx_vnni", "amx_int8", "asimddp"), "AVX512-VNNI, AVX-VNNI, AMX-INT8 or ARM's dot product"),
}


def missing(precision: str) -> str | None:
    """Say what this CPU lacks for ``bf16`` or ``int8``; None if it has it, or the precision needs nothing."""
    flags, text = _NEEDS.get(precision, ((), ""))
    return text if flags and not cpu_flags().intersection(flags) else None


@cache
def cpu_flags() -> frozenset[str]:
    """Return Linux's names of what the first CPU can do; empty if they can't be read."""
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        return frozenset()
    flags = (line.partition(":")[2] for line in lines if line.lower().startswith(("flags", "features")))
    return frozenset(next(flags, "").split())
