"""The CUDA bindings: cuda-python itself over a driver without a device, pycuda over its documented face; errors."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge.engines.tensorrt import cuda
from edge.engines.tensorrt.cuda import CudaError, explained, open_cuda
from edge.engines.tensorrt.cuda_pycuda import PyCuda
from edge.engines.tensorrt.cuda_python import CudaPython
from edge.errors import UserError

TESTS = Path(__file__).parents[2] / "support"
LOAD = """
import ctypes, sys
ctypes.CDLL(sys.argv[1], mode=ctypes.RTLD_GLOBAL)  # whoever asks for libcuda.so.1 gets this one
from edge.engines.tensorrt import cuda
cuda.BINDINGS = cuda.BINDINGS[1:]
"""
FRAMES = """
import numpy as np
from edge.engines.tensorrt.cuda import open_cuda
from edge.engines.tensorrt.staging import Staging
from edge.engines.tensorrt.execution_plan import Tensor

class Inverter:
    tensors = (
        Tensor("frame", (1, 4, 6, 1), np.dtype(np.uint8), True),
        Tensor("map", (1, 4, 6), np.dtype(np.float32), False),
    )
    def bind(self, addresses):
        self.addresses = dict(addresses)
    def enqueue(self, stream):
        source = np.ctypeslib.as_array((ctypes.c_uint8 * 24).from_address(self.addresses["frame"]))
        target = np.ctypeslib.as_array((ctypes.c_float * 24).from_address(self.addresses["map"]))
        target[:] = 255 - source.astype(np.float32)
    def capturable(self, stream):
        return True

device = open_cuda()
assert (device.name, device.capability, device.free_bytes()) == ("Driver without a GPU", (8, 6), 1 << 30)
staging = Staging(device, Inverter())
pictures = [np.random.default_rng(k).integers(0, 256, (1, 4, 6, 1), np.uint8) for k in range(8)]
staging.submit(pictures[0])
for before, picture in zip(pictures, pictures[1:]):
    staging.submit(picture)
    assert (staging.collect()["map"] == 255 - before[..., 0].astype(np.float32)).all()
staging.collect()
assert staging.capture()
staging.submit(pictures[0])
staging.collect()
staging.abandon()
staging.close()
device.close()
print("done")
"""
OPEN = """
from edge.errors import UserError
from edge.engines.tensorrt.cuda import open_cuda
try:
    open_cuda().malloc(100)
except UserError as error:
    print(error)
except cuda.CudaError as error:
    print(cuda.explained(error, needed_bytes=300 << 20, free_bytes=200 << 20))
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    assert compiler is not None, "the tests need a C compiler"
    path = tmp_path_factory.mktemp("driver") / "libcuda_stand_in.so"
    source = str(TESTS / "libcuda_stand_in.c")
    command = [
        compiler,
        "-shared",
        "-fPIC",
        "-Wall",
        "-Werror",
        "-Wl,-soname,libcuda.so.1",
        "-o",
        str(path),
        source,
        "-ldl",
    ]
    subprocess.run(command, check=True)
    return path


def run(driver: Path, script: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", LOAD + script, str(driver)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_frames_go_through_cuda_python_itself(driver: Path, tmp_path: Path) -> None:
    """Every call with its real arguments and results; afterwards everything is given back."""
    log = tmp_path / "calls"
    assert run(driver, FRAMES, LIBCUDA_LOG=str(log)) == "done"
    calls = log.read_text().split()
    pairs = (
        ("cuMemAlloc_v2", "cuMemFree_v2"),
        ("cuMemHostAlloc", "cuMemFreeHost"),
        ("cuStreamCreate", "cuStreamDestroy_v2"),
        ("cuEventCreate", "cuEventDestroy_v2"),
        ("cuGraphInstantiateWithFlags", "cuGraphExecDestroy"),
        ("cuStreamEndCapture", "cuGraphDestroy"),
        ("cuDevicePrimaryCtxRetain", "cuDevicePrimaryCtxRelease_v2"),
    )
    counts = {made: (calls.count(made), calls.count(gone)) for made, gone in pairs}
    assert counts == {
        "cuMemAlloc_v2": (4, 4),
        "cuMemHostAlloc": (8, 8),
        "cuStreamCreate": (3, 3),
        "cuEventCreate": (6, 6),
        "cuGraphInstantiateWithFlags": (2, 2),
        "cuStreamEndCapture": (2, 2),
        "cuDevicePrimaryCtxRetain": (1, 1),
    }
    assert calls.count("cuEventSynchronize") == 9
    assert calls.count("cuGraphLaunch") == 1


NO_GPU = (
    "model.engine: tensorrt: there is no NVIDIA GPU\n"
    "  received: cuInit: CUDA_ERROR_NO_DEVICE\n"
    "  expected: at least one, as `nvidia-smi` lists them\n"
    "  fix: see that the GPU is seated, powered and passed through to this system; or choose engine: onnx or openvino"
)
WRONG_DRIVER = (
    "model.engine: tensorrt: the NVIDIA driver does not fit\n"
    "  received: cuInit: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH\n"
    "  expected: a driver as new as the CUDA version that TensorRT was built for\n"
    "  fix: update the driver (`nvidia-smi` shows its version and newest CUDA) and restart, or install an older TensorRT"
)
OUT_OF_MEMORY = (
    "model.engine: tensorrt: the GPU's memory is too small for the model\n"
    "  received: cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY; the model needs 300 MiB; free are 200 MiB\n"
    "  fix: end what else uses the GPU (`nvidia-smi` lists it), or set model.precision: fp16, or build the bundle smaller"
)
OTHER = (
    "model.engine: tensorrt: the GPU cannot be used\n"
    "  received: cuDevicePrimaryCtxRetain: CUDA_ERROR_ECC_UNCORRECTABLE\n"
    "  fix: see `nvidia-smi` and the kernel's log (`journalctl -k`) for what the driver says"
)


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        ("cuInit:100", NO_GPU),
        ("cuInit:803", WRONG_DRIVER),
        ("cuMemAlloc_v2:2", OUT_OF_MEMORY),
        ("cuDevicePrimaryCtxRetain:214", OTHER),
    ],
)
def test_what_the_driver_says_becomes_words(driver: Path, failure: str, text: str) -> None:
    assert run(driver, OPEN, LIBCUDA_FAIL=failure) == text


def test_a_machine_without_a_driver_says_so() -> None:
    def missing(*_: Any) -> Any:
        raise RuntimeError("Failure finding libcuda.so")

    with pytest.raises(UserError) as caught:
        CudaPython(SimpleNamespace(cuInit=missing))
    assert str(caught.value) == (
        "model.engine: tensorrt: there is no NVIDIA driver\n"
        "  received: Failure finding libcuda.so\n"
        "  expected: libcuda.so.1, which the driver brings\n"
        "  fix: install NVIDIA's driver and see that `nvidia-smi` lists the GPU; or choose engine: onnx or openvino"
    )


def test_a_machine_without_a_binding_gets_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "BINDINGS", (cuda._Binding("no_such_package.driver", "", ""),))
    with pytest.raises(UserError) as caught:
        open_cuda()
    assert str(caught.value) == (
        "model.engine: tensorrt: no CUDA package for Python is installed\n"
        "  expected: pycuda or cuda-python\n"
        "  fix: pip install 'edge-inspect[rtx]', or 'edge-inspect[tensorrt]'; on a Jetson: pip install pycuda"
    )


class PyCudaError(Exception):
    pass


class FakePycuda:
    """``pycuda.driver`` over host memory, with its rules: makes and frees only with a context on the thread's stack."""

    Error = PyCudaError
    event_flags = SimpleNamespace(BLOCKING_SYNC=1, DISABLE_TIMING=2)

    def __init__(self, fails: str | None = None) -> None:
        self.fails = fails
        self.freed: list[str] = []
        self.stacks: dict[int, int] = {}
        self.current: dict[int, int] = {}
        self.Context = SimpleNamespace(synchronize=lambda: None)
        self.library = SimpleNamespace(cuCtxSetCurrent=self._set_current, cuCtxGetCurrent=self._get_current)

    def _set_current(self, handle: Any) -> int:
        self.current[threading.get_ident()] = handle.value
        return 0

    def _get_current(self, handle: Any) -> int:
        self._expect_pushed()
        handle._obj.value = 5
        return 0

    def _move(self, by: int) -> None:
        here = threading.get_ident()
        self.stacks[here] = self.stacks.get(here, 0) + by

    def _expect_pushed(self) -> None:
        if self.stacks.get(threading.get_ident(), 0) != 1:
            raise PyCudaError("explicit_context_dependent failed: no currently active context?")

    def init(self) -> None:
        if self.fails:
            raise PyCudaError(self.fails)

    def Device(self, _number: int) -> Any:  # noqa: N802  (its name there)
        context = SimpleNamespace(
            push=lambda: self._move(1), pop=lambda: self._move(-1), detach=lambda: self.freed.append("context")
        )
        return SimpleNamespace(
            name=lambda: "Orin", compute_capability=lambda: (8, 7), retain_primary_context=lambda: context
        )

    def mem_get_info(self) -> tuple[int, int]:
        return 500, 1000

    def mem_alloc(self, nbytes: int) -> Any:
        self._expect_pushed()
        if nbytes > 500:
            raise PyCudaError("cuMemAlloc failed: out of memory\ntraceback of no use")
        self.device = np.zeros(nbytes, np.uint8)
        return _Allocation(int(self.device.ctypes.data), lambda: self._freed("device"))

    def _freed(self, what: str) -> None:
        self._expect_pushed()
        self.freed.append(what)

    def pagelocked_empty(self, shape: Any, dtype: Any) -> Any:
        self._expect_pushed()

        class Array(np.ndarray):  # type: ignore[type-arg]
            base = SimpleNamespace(free=lambda: self._freed("host"))

        return np.zeros(shape, dtype).view(Array)

    def Stream(self) -> Any:  # noqa: N802  (its name there)
        self._expect_pushed()
        return SimpleNamespace(handle=77, wait_for_event=lambda event: None)

    def Event(self, flags: int) -> Any:  # noqa: N802  (its name there)
        self._expect_pushed()
        assert flags == 3
        return SimpleNamespace(record=lambda stream: None, synchronize=lambda: None)

    def memcpy_htod_async(self, to: int, source: Any, _stream: Any) -> None:
        self.device[:] = source.view(np.uint8).ravel()

    def memcpy_dtoh_async(self, target: Any, _from: int, _stream: Any) -> None:
        target.view(np.uint8).ravel()[:] = self.device


class _Allocation:
    def __init__(self, address: int, free: Any) -> None:
        self.address, self.free = address, free

    def __int__(self) -> int:
        return self.address


def test_pycuda_copies_there_and_back_and_frees_what_it_took() -> None:
    driver = FakePycuda()
    device = PyCuda(driver, driver.library)
    assert (device.name, device.capability, device.free_bytes(), device.graphs) == ("Orin", (8, 7), 500, False)
    address = device.malloc(40)
    one, other = device.pinned((10,), np.float32), device.pinned((10,), np.float32)
    one.array[:] = np.arange(10)
    stream, event = device.stream(), device.event()
    assert stream == 77
    device.copy_in(address, one, stream)
    device.record(event, stream)
    device.wait(stream, event)
    device.copy_out(other, address, stream)
    device.synchronize(event)
    device.drain()
    assert (other.array == np.arange(10)).all()
    device.free(address)
    device.unpin(one)
    device.unpin(other)
    device.close()
    assert driver.freed == ["device", "host", "host", "context"]


def test_no_thread_is_left_with_a_context_on_its_stack() -> None:
    """Pycuda aborts the process when such a thread ends; what works in a thread is the driver's own current context."""
    driver = FakePycuda()
    device = PyCuda(driver, driver.library)
    device.event()

    def work() -> None:
        device.attach()
        device.stream()
        with pytest.raises(CudaError):
            device.malloc(501)

    other = threading.Thread(target=work)
    other.start()
    other.join()
    device.attach()
    assert len(driver.stacks) == 2
    assert set(driver.stacks.values()) == {0}
    assert set(driver.current.values()) == {5}
    assert len(driver.current) == 2


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("cuInit failed: no CUDA-capable device is detected", "CUDA_ERROR_NO_DEVICE"),
        (
            "cuInit failed: system has unsupported display driver / cuda driver combination",
            "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
        ),
        ("cuInit failed: unknown error", "CUDA_ERROR_UNKNOWN_ERROR"),
    ],
)
def test_pycudas_words_become_the_drivers_names(text: str, code: str) -> None:
    driver = FakePycuda(text)
    with pytest.raises(CudaError) as caught:
        PyCuda(driver, driver.library)
    assert str(caught.value) == f"cuInit: {code}"


def test_pycudas_lack_of_memory_is_one() -> None:
    driver = FakePycuda()
    device = PyCuda(driver, driver.library)
    with pytest.raises(CudaError) as caught:
        device.malloc(501)
    assert explained(caught.value).what == "model.engine: tensorrt: the GPU's memory is too small for the model"
