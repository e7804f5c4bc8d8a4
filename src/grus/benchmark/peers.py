"""The competitors of the extra ``bench``: JAX, ONNX Runtime and OpenVINO.

Each gets the number of threads in its own way, and its best form of this problem that is still the library's own:
fixed shapes, float32 throughout, buffers that are bound once.
"""

import os
import sys
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from grus.benchmark.competitor import Competitor
from grus.benchmark.problem import Arrays, Problem
from grus.benchmark.report import Kind

_jax_threads: int | None = None


def _jax(threads: int) -> Any:
    """JAX on the CPU with a pool of so many threads.

    XLA sizes its pool when the client is made, by ``PJRT_NPROC`` before the processors allowed; ``XLA_FLAGS`` has no
    number for it. So another number of threads takes another client.
    """
    global _jax_threads
    import jax
    from jax.extend import backend

    if threads != _jax_threads:
        os.environ["PJRT_NPROC"] = str(threads)
        jax.config.update("jax_platforms", "cpu")
        jax.clear_caches()
        backend.clear_backends()
        _jax_threads = threads
    return jax


def _functions(jax: Any, n: int) -> dict[str, Any]:
    """The calls of a GRU of n units, the input product outside the loop, weights [inputs, outputs] as JAX has them.

    With torch's [outputs, inputs] a forward pass of one row took twice as long (H=64, loaded machine); unrolling the
    loop four times won nothing.
    """
    jnp = jax.numpy

    def cell(h: Any, product: Any, w_hh: Any, b_hh: Any) -> Any:
        recurrent = h @ w_hh + b_hh
        r, z = jnp.split(jax.nn.sigmoid(product[:, : 2 * n] + recurrent[:, : 2 * n]), 2, axis=1)
        candidate = jnp.tanh(product[:, 2 * n :] + r * recurrent[:, 2 * n :])
        return candidate + z * (h - candidate)

    def forward(x: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
        def body(h: Any, product: Any) -> Any:
            h = cell(h, product, w_hh, b_hh)
            return h, h

        return jax.lax.scan(body, jnp.zeros((x.shape[1], n)), x @ w_ih + b_ih)[1]

    def training(d_output: Any, *inputs: Any) -> Any:
        output, pull_back = jax.vjp(forward, *inputs)
        return (output, *pull_back(d_output))

    def step(h: Any, x: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
        return cell(h, x @ w_ih + b_ih, w_hh, b_hh)

    return {"forward": forward, "training": training, "step": step}


class JaxScan(Competitor):
    """A GRU by jax.lax.scan, compiled whole, its gradient too."""

    name, label, packages = "jax", "JAX scan", ("jax",)

    def __init__(self, problem: Problem, threads: int) -> None:
        jax = _jax(threads)
        x, h_0, d_output = map(jax.numpy.asarray, (problem.x, problem.h_0, problem.d_output))
        weights = [jax.numpy.asarray(np.ascontiguousarray(w.T)) for w in problem.weights["gru"]]
        self._inputs = {
            "forward": (x, *weights),
            "training": (d_output, x, *weights),
            "step": (h_0, x[0], *weights),
        }
        self._compiled = {k: jax.jit(f) for k, f in _functions(jax, problem.size.H).items()}
        self._wait = jax.block_until_ready

    def arrays(self, returned: Any) -> Arrays:
        """What a call returned; the gradients of the matrices, if they are there, in torch's layout."""
        output, *gradients = super().arrays(returned)
        return (output, *gradients[:1], *(d_w.T for d_w in gradients[1:]))

    def _call(self, kind: Kind) -> Any:
        return self._wait(self._compiled[kind](*self._inputs[kind]))

    def forward(self) -> Any:
        """Whole sequences."""
        return self._call("forward")

    def training(self) -> Any:
        """Forward and backward, with the gradients of the input and of every weight."""
        return self._call("training")

    def step(self) -> Any:
        """One step."""
        return self._call("step")


def onnx_model(problem: Problem) -> bytes:
    """One ONNX GRU node over x [T, B, I] and h_0 [1, B, H], the weights inside; gates z, r, h."""
    from onnx import TensorProto, helper, numpy_helper

    size = problem.size

    def gates(array: np.ndarray) -> np.ndarray:
        r, z, n = np.split(array, 3)
        return np.concatenate((z, r, n))

    w_ih, w_hh, b_ih, b_hh = map(gates, problem.weights["gru"])
    arrays = {"W": w_ih[None], "R": w_hh[None], "biases": np.concatenate((b_ih, b_hh))[None]}
    node = helper.make_node(
        "GRU", ["x", "W", "R", "biases", "", "h_0"], ["y", ""], hidden_size=size.H, linear_before_reset=1
    )
    shapes = {"x": [size.T, size.B, size.I], "h_0": [1, size.B, size.H], "y": [size.T, 1, size.B, size.H]}
    x, h_0, y = (helper.make_tensor_value_info(k, TensorProto.FLOAT, v) for k, v in shapes.items())
    constants = [numpy_helper.from_array(np.ascontiguousarray(v), k) for k, v in arrays.items()]
    graph = helper.make_graph([node], "gru", [x, h_0], [y], constants)
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


class _Onnx(Competitor):
    """Runs an ONNX model; a single step is a sequence of one step (T = 1) that begins at h_0."""

    kinds = ("forward", "step")

    def __init__(self, problem: Problem, threads: int) -> None:
        h_0 = problem.h_0[None]
        self._load(onnx_model(problem), threads)
        self._from_zero = self._bind(problem.x, np.zeros_like(h_0))
        self._from_h_0 = self._bind(problem.x, h_0)

    @abstractmethod
    def _load(self, model: bytes, threads: int) -> None: ...

    @abstractmethod
    def _bind(self, x: np.ndarray, h_0: np.ndarray) -> Callable[[], Any]:
        """A call without arguments that returns y [T, 1, B, H]."""

    def forward(self) -> Any:
        """Whole sequences."""
        return self._from_zero()

    def step(self) -> Any:
        """One step."""
        return self._from_h_0()


class OnnxRuntime(_Onnx):
    """ONNX Runtime on its CPU provider, input and output buffers bound once."""

    name, label, packages = "onnxruntime", "ONNX Runtime", ("onnxruntime", "onnx")

    def _load(self, model: bytes, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def _bind(self, x: np.ndarray, h_0: np.ndarray) -> Callable[[], Any]:
        y = np.empty((len(x), *h_0.shape), np.float32)
        binding = self._session.io_binding()
        binding.bind_cpu_input("x", x)
        binding.bind_cpu_input("h_0", h_0)
        binding.bind_output("y", "cpu", 0, np.float32, y.shape, y.ctypes.data)

        def call() -> np.ndarray:
            self._session.run_with_iobinding(binding)
            return y

        return call


class OpenVINO(_Onnx):
    """OpenVINO's CPU plugin, told to use float32: left alone it takes bfloat16 where the processor has it."""

    name, label, packages = "openvino", "OpenVINO", ("openvino", "onnx")

    def _load(self, model: bytes, threads: int) -> None:
        # Otherwise the import sends usage data to its makers, from a forked process (openvino 2026.4).
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        import openvino

        core = openvino.Core()
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            # Pinned threads must wait where a neighbour still spins: they took up to 1.5 times as long.
            "ENABLE_CPU_PINNING": False,
        }
        self._model = core.compile_model(core.read_model(model), "CPU", settings)

    def _bind(self, x: np.ndarray, h_0: np.ndarray) -> Callable[[], Any]:
        request = self._model.create_infer_request()
        inputs = [x, h_0]
        return lambda: request.infer(inputs, share_inputs=True, share_outputs=True)[0]
