"""The two TensorRTs stand behind one face here, with all that differs between them.

``tensorrt`` serves Jetsons and data-centre cards, ``tensorrt_rtx`` desktop RTX cards. Both are driven through strongly
typed networks: the graph itself says which arithmetic each operator has (``edge.engines.tensorrt.graph`` writes it), so a
precision means the same in both. Weakly typed networks, their FP16 and INT8 flags and their calibrators are gone since
TensorRT 11, and RTX never had them.
"""

from __future__ import annotations

import importlib
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

import structlog

from edge.errors import UserError

log = structlog.get_logger()

PACKAGES: Final = ("tensorrt", "tensorrt_rtx")
"""Packages in order of preference if both are installed: the first tunes its kernels on the very GPU."""
_OLDEST: Final = {"tensorrt": (10, 0), "tensorrt_rtx": (1, 2)}
"""Oldest versions. 10.0: ``execute_async_v3`` and typed networks without further flags. RTX 1.2: streams that can be
captured."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """A runtime is one TensorRT. ``api`` is its Python module; ``logger`` collects its complaints, see ``complaint``."""

    name: str
    version: str
    api: Any
    logger: Any
    complaints: deque[str]

    @property
    def is_rtx(self) -> bool:
        return self.name == "tensorrt_rtx"

    def complaint(self) -> str | None:
        """Return the first error since the last question, because what follows is its echo."""
        first = self.complaints[0] if self.complaints else None
        self.complaints.clear()
        return first


def open_runtime(packages: tuple[str, ...] = PACKAGES) -> Runtime:
    """Open the first TensorRT that is installed.

    Raises:
        UserError: none is, or the one that is can't be loaded or is too old.
    """
    for name in packages:
        try:
            api = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise _broken(name, error) from None
            continue
        except (ImportError, OSError) as error:  # its libraries
            raise _broken(name, error) from None
        version = str(api.__version__)
        oldest = _OLDEST[name]
        if tuple(int(part) for part in version.split(".")[:2]) < oldest:
            raise UserError(
                f"model.engine: tensorrt: {name} is too old",
                received=version,
                expected=f"{oldest[0]}.{oldest[1]} or newer",
                fix=f"pip install --upgrade {name}; on a Jetson: a newer JetPack",
            )
        complaints: deque[str] = deque(maxlen=20)
        return Runtime(name, version, api, _make_logger(api, complaints), complaints)
    raise UserError(
        "model.engine: tensorrt: no TensorRT is installed",
        expected="tensorrt or tensorrt_rtx",
        fix="pip install 'edge-inspect[rtx]' for a desktop RTX card, 'edge-inspect[tensorrt]' for a data-centre card; on a "
        "Jetson it is part of JetPack: docs/tensorrt.md",
    )


def configure_build(runtime: Runtime, config: Any, capability: tuple[int, int]) -> None:
    """Set what a build depends on besides the network: full float32, and the GPU that it is for.

    Only RTX builds for a GPU that isn't there; the other one tunes on the GPU of this machine, whatever ``capability`` is.
    """
    flags = runtime.api.BuilderFlag
    config.clear_flag(flags.TF32)  # on by default: float32 products of 10 bits, other maps than the CPU's
    if runtime.is_rtx:
        if hasattr(flags, "REQUIRE_USER_ALLOCATION"):  # or a CUDA graph can't be captured
            config.set_flag(flags.REQUIRE_USER_ALLOCATION)
        capabilities = runtime.api.ComputeCapability
        config.num_compute_capabilities = 1
        # CURRENT: a GPU that this version has no name for; it then builds for the one that is there
        config.set_compute_capability(getattr(capabilities, "SM{}{}".format(*capability), capabilities.CURRENT), 0)


@dataclass(slots=True)
class JitCache:
    """A cache holds kernels that RTX compiled for this GPU at the first run. ``tensorrt`` has none: its engine file holds
    them.
    """

    _cache: Any

    def dump(self) -> bytes | None:
        memory = self._cache.serialize() if self._cache is not None else None
        return None if memory is None else bytes(memory)


def make_context(engine: Any, runtime: Runtime, kernels: bytes | None) -> tuple[Any, JitCache]:
    """Make an execution context and the cache that its kernels are collected in; the context is None if memory is too
    short.

    ``kernels`` is an earlier cache's dump. TensorRT checks it against GPU and driver, and refuses what doesn't fit.
    """
    if not runtime.is_rtx:
        return engine.create_execution_context(), JitCache(None)
    config = engine.create_runtime_config()
    cache = config.create_runtime_cache()
    if kernels is not None and not cache.deserialize(kernels):
        log.info("tensorrt_kernels_rejected", why="another driver or GPU; they are compiled again")
        runtime.complaints.clear()
    config.set_runtime_cache(cache)
    return engine.create_execution_context(config), JitCache(cache)


def _broken(name: str, error: BaseException) -> UserError:
    return UserError(
        f"model.engine: tensorrt: {name} is installed but cannot be loaded",
        received=str(error).partition("\n")[0],
        fix=f"pip install --force-reinstall {name}; on a Jetson: JetPack's own packages, docs/tensorrt.md",
    )


def _make_logger(api: Any, complaints: deque[str]) -> Any:
    class Logger(api.ILogger):  # type: ignore[misc]  # the base comes with the package
        def __init__(self) -> None:
            api.ILogger.__init__(self)  # its own rule: not super()

        def log(self, severity: Any, text: str) -> None:
            if severity in (api.ILogger.INTERNAL_ERROR, api.ILogger.ERROR):
                complaints.append(text)

    return Logger()
