"""run.json: what a run was made of, on what, and by which software; and whether a resumed run is still the same."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from ..edge_runtime.atomic import write_atomically
from ..edge_runtime.errors import EdgeEmotionError
from ..edge_runtime.provenance import git_revision, tool_versions
from .config import TrainConfig
from .run_data import RunData
from .runs import RUN_FILE, SCHEMA_VERSION, read_run


def run_record(config: TrainConfig, data: RunData, keras: Any, model: Any) -> dict[str, Any]:
    """The record of a run that starts now, JSON-ready."""
    trainable = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    return {
        "schema_version": SCHEMA_VERSION,
        **_sitting(keras),
        "config": config.to_json(),
        "parameters": {
            "total": model.count_params(),
            "trainable": trainable,
            "non_trainable": model.count_params() - trainable,
        },
        "data": data.to_json(),
        "models": {path: _sha256(path) for path in config.models},
    }


def resumed_record(out: Path, data: RunData, keras: Any) -> dict[str, Any]:
    """The record of the run in `out` as it goes on now: what began it stays, and this sitting is added."""
    record = read_run(out)
    for result in ("metrics", "epochs_done", "best_epoch"):
        record.pop(result, None)
    record["data"] = data.to_json()  # the same images, perhaps at another place
    record["resumed"] = [*record.get("resumed", ()), _sitting(keras)]
    return record


def _sitting(keras: Any) -> dict[str, Any]:
    """When, on what and by which software."""
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "backend": keras.backend.backend(),
        "device": describe_device(keras),
        "versions": {"python": platform.python_version(), **tool_versions()},
        "git_revision": git_revision(),
    }


def write_record(out: Path, record: dict[str, Any]) -> None:
    """Write a run folder's run.json, whole."""
    write_atomically(out / RUN_FILE, (json.dumps(record, indent=1) + "\n").encode())


def check_same_run(out: Path, config: TrainConfig, data: RunData) -> None:
    """Raise EdgeEmotionError unless the run in `out` had these settings and these images.

    A run of before the hash of the validation images was recorded is known by its training images alone.
    """
    recorded = read_run(out)
    if TrainConfig.from_json(recorded["config"]) != config:
        raise EdgeEmotionError(f"{out} was trained with other settings: resume takes the ones in its run.json")
    for key, done, split in (
        ("train_sha256", "trained", data.train),
        ("validation_sha256", "validated", data.validation),
    ):
        if recorded["data"].get(key, split.sha256) != split.sha256:
            raise EdgeEmotionError(f"{out} was {done} on other images than {data.dataset.path} now gives: train anew")


def check_same_models(out: Path, models: Iterable[str]) -> None:
    """Raise EdgeEmotionError unless these, of the models that the run in `out` began with, are still what they were."""
    recorded = read_run(out).get("models", {})
    for path in models:
        if path in recorded and not (Path(path).exists() and _sha256(path) == recorded[path]):
            raise EdgeEmotionError(f"{out} began with another {path} than is there now: train anew")


def _sha256(path: str) -> str:
    return sha256(Path(path).read_bytes()).hexdigest()


def describe_device(keras: Any) -> str:
    """What the backend computes on, such as `tensorflow on CPU (x86_64)` or `jax on NVIDIA H100`."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        names = [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]
    elif backend == "jax":
        import jax

        names = [device.device_kind for device in jax.devices() if device.platform != "cpu"]
    else:
        import torch

        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return f"{backend} on {', '.join(names) if names else f'CPU ({platform.machine()})'}"
