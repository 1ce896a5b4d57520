"""Run a model in a process of its own, on whichever Python has the runtime: a crash there is an answer, not an end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..edge_runtime.interpreter import BACKENDS
from ..edge_runtime.metadata import strip

TFLITE_PYTHON = "EDGE_EMOTION_TFLITE_PYTHON"
"""Environment variable: a Python that has tflite-runtime, which needs Python 3.11 or older and numpy < 2."""

TIMEOUT_S = 300.0

# Only the runtime and numpy: the other Python need not have this package.
_SCRIPT = """
import json, sys
from importlib import import_module
import numpy as np
folder, module, distribution = sys.argv[1:]
values = np.load(folder + "/values.npy")
with open(folder + "/model.tflite", "rb") as file:
    model = import_module(module).Interpreter(model_content=file.read(), num_threads=1)
model.allocate_tensors()
i, o = model.get_input_details()[0], model.get_output_details()[0]
scale, zero = i["quantization"]
if scale:
    limits = np.iinfo(i["dtype"])
    values = np.clip(np.rint(values.astype(np.float64) / scale) + zero, limits.min, limits.max)
outputs = []
for value in values.astype(i["dtype"]):
    model.set_tensor(i["index"], value[None])
    model.invoke()
    outputs.append(model.get_tensor(o["index"]).reshape(-1))
outputs = np.stack(outputs)
scale, zero = o["quantization"]
if scale:
    outputs = (outputs.astype(np.int32) - zero) * np.float32(scale)
np.save(folder + "/outputs.npy", outputs.astype(np.float32))
names = [op["op_name"] for op in model._get_ops_details()] if hasattr(model, "_get_ops_details") else []
from importlib.metadata import version
print(json.dumps({"version": version(distribution), "partitions": names.count("DELEGATE")}))
"""


@dataclass(frozen=True, eq=False)
class Probe:
    """What came of running a model: outputs, float32 (N, classes), or why there are none.

    partitions: pieces of the graph that a delegate took (1 is the whole graph or one run of it, 0 none).
    """

    runtime: str
    version: str = ""
    outputs: NDArray[np.float32] | None = None
    partitions: int = 0
    failure: str = ""


def python_for(backend: str) -> str | None:
    """The Python that has this backend: the one running, else for tflite-runtime $EDGE_EMOTION_TFLITE_PYTHON."""
    if find_spec(BACKENDS[backend][0].split(".")[0]):
        return sys.executable
    return os.environ.get(TFLITE_PYTHON) if backend == "tflite-runtime" else None


def probe(tflite: bytes, values: NDArray[np.float32], backend: str) -> Probe | None:
    """Run the model on input values, float32 (N, H, W, C), one at a time; None when the backend is not installed."""
    python = python_for(backend)
    if python is None:
        return None
    with tempfile.TemporaryDirectory(prefix="edge-emotion-probe-") as folder:
        Path(folder, "model.tflite").write_bytes(strip(tflite))
        np.save(Path(folder, "values.npy"), values)
        command = [python, "-c", _SCRIPT, folder, *BACKENDS[backend]]
        environment = {**os.environ, "PYTHONSAFEPATH": "1"}  # as -P, which a Python before 3.11 refuses
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            return Probe(backend, failure=f"no answer within {TIMEOUT_S:g} s")
        except OSError as error:
            return Probe(backend, failure=f"{python} cannot be started: {error.strerror or error}")
        if done.returncode < 0:
            return Probe(backend, failure=f"it crashes ({signal.Signals(-done.returncode).name})")
        if done.returncode > 0:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            return Probe(backend, failure=lines[-1].strip()[:300] if lines else f"exit code {done.returncode}")
        answer = json.loads(done.stdout.splitlines()[-1])
        return Probe(backend, answer["version"], np.load(Path(folder, "outputs.npy")), answer["partitions"])
