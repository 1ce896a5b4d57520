from __future__ import annotations

import numpy as np
import pytest
from edge_emotion.convert.activations import SAMPLED_ELEMENTS, activations, observe
from edge_emotion.convert.graph import read_graph
from edge_emotion.edge_runtime.classifier import EmotionClassifier
from edge_emotion.edge_runtime.metadata import InputSpec
from edge_emotion.edge_runtime.preprocess import normalise

from .conftest import MODELS, random_images

pytest.importorskip("ai_edge_litert", reason="needs ai-edge-litert (the schema)")

FLOAT32 = (MODELS / "brightness-float32.tflite").read_bytes()
INT8 = (MODELS / "brightness-int8.tflite").read_bytes()
SPEC = InputSpec(48, 48)


@pytest.mark.parametrize("name", ["brightness-float32.tflite", "brightness-int8.tflite", "residual-int8.tflite"])
def test_the_output_is_what_the_classifier_gives_and_every_activation_is_there(name: str) -> None:
    tflite = (MODELS / name).read_bytes()
    graph = read_graph(tflite)
    with EmotionClassifier(MODELS / name) as classifier:
        spec = classifier.metadata.input
        images = random_images(3, spec)
        expected = classifier.logits(images)
    seen = list(activations(tflite, normalise(images, spec)))
    written = {tensor for op in graph.operators for tensor in op.outputs}
    assert all(set(held) == {graph.inputs[0]} | written for held in seen)
    (output,) = graph.outputs
    np.testing.assert_allclose(np.concatenate([held[output] for held in seen]), expected, rtol=1e-5, atol=1e-5)


def test_the_input_of_an_int8_file_is_what_its_integers_stand_for() -> None:
    graph = read_graph(INT8)
    step = graph.tensors[graph.inputs[0]].scales[0]
    values = np.linspace(0, 0.9, 48 * 48, dtype=np.float32).reshape(1, 48, 48, 1)
    (held,) = activations(INT8, values)
    rounded = held[graph.inputs[0]]
    assert 0 < np.abs(rounded - values).max() <= step / 2 + 1e-6
    np.testing.assert_allclose(rounded / step, np.rint(rounded / step), atol=1e-3)


def test_no_images_are_no_activations() -> None:
    assert list(activations(FLOAT32, np.zeros((0, *SPEC.shape), np.float32))) == []


def test_what_is_kept_of_many_images() -> None:
    values = normalise(random_images(5, SPEC), SPEC)
    kept = observe(FLOAT32, values)
    graph = read_graph(FLOAT32)
    np.testing.assert_allclose(kept.means[graph.inputs[0]], values.mean(axis=(0, 1, 2)), rtol=1e-5)
    assert all(len(samples) == 5 * SAMPLED_ELEMENTS for samples in kept.samples.values())
    assert len(kept.outputs[graph.outputs[0]]) == 5
