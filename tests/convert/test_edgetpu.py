from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from edge_emotion.convert.edgetpu import Objection, objections, parse_compilation
from edge_emotion.convert.graph import Graph, Operator, Tensor

COMPILED = """\
Edge TPU Compiler version 16.0.384591198
Started a compilation timeout timer of 180 seconds.

Model compiled successfully in 252 ms.

Input model: shades-int8.tflite
Input size: 1.02MiB
Output model: shades-int8_edgetpu.tflite
Output size: 1.20MiB
On-chip memory used for caching model parameters: 1.05MiB
On-chip memory remaining for caching model parameters: 6.60MiB
Off-chip memory used for streaming uncached model parameters: 384.00B
Number of Edge TPU subgraphs: 1
Total number of operations: 24
Operation log: shades-int8_edgetpu.log
See the operation log file for individual operation details.
Compilation child process completed within timeout period.
Compilation succeeded!
"""

STATUSES = (
    "Mapped to Edge TPU",
    "Operation not supported",
    "Operation version not supported",
    "Operation is working on an unsupported data type",
    "Operation is otherwise supported, but not mapped due to some unspecified limitation",
    "More than one subgraph is not supported",
    "Tensor has unsupported rank (up to 3 innermost dimensions mapped)",
)


def log_of(rows: list[tuple[str, int, str]]) -> str:
    """The operation log as the compiler writes it."""
    lines = [f"{name:<30} {count:<10} {status}" for name, count, status in rows]
    head = "Edge TPU Compiler version 16.0.384591198\nInput: shades-int8.tflite\nOutput: shades-int8_edgetpu.tflite\n\n"
    return head + "\n".join(["Operator                       Count      Status", "", *lines]) + "\n"


def test_a_compilation_is_read_from_the_tools_words() -> None:
    found = parse_compilation(COMPILED, log_of([("CONV_2D", 16, STATUSES[0]), ("ADD", 6, STATUSES[0])]), b"compiled")
    assert found.version == "16.0.384591198"
    assert found.mapped == 22
    assert found.unmapped == ()
    assert found.on_chip_bytes == round(1.05 * 2**20)
    assert found.off_chip_bytes == 384
    assert found.subgraphs == 1
    assert found.failure == ""


@pytest.mark.parametrize("status", STATUSES)
def test_each_status_is_understood(status: str) -> None:
    found = parse_compilation(COMPILED, log_of([("MEAN", 2, status), ("CONV_2D", 1, STATUSES[0])]), b"compiled")
    assert [op.status for op in found.operators] == [status, STATUSES[0]]
    assert found.mapped == (3 if status == STATUSES[0] else 1)
    assert found.to_json()["unmapped"] == (0 if status == STATUSES[0] else 2)


def test_the_table_is_taken_from_stdout_when_there_is_no_log() -> None:
    table = log_of([("SOFTMAX", 1, STATUSES[1])])
    assert [op.name for op in parse_compilation(COMPILED + table, "", b"x").operators] == ["SOFTMAX"]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("Edge TPU Compiler version 16.0\nInvalid model: x.tflite\nModel not quantized\n", "Invalid model: x.tflite"),
        ("Internal compiler error. Aborting! \n", "Internal compiler error. Aborting!"),
        (
            "ERROR: Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'\n",
            "Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'",
        ),
        ("", "it ended with code 1 and wrote no file"),
    ],
)
def test_a_failure_gives_its_reason(said: str, reason: str) -> None:
    found = parse_compilation(said, "", None, 1)
    assert found.failure == reason
    assert not found.to_json()["compiled"]


def quantised(index: int, shape: tuple[int, ...], dtype: str = "INT8") -> Tensor:
    return Tensor(index, f"t{index}", dtype, shape, (0.1,), (0,))


def graph(name: str, inputs: list[Tensor], output: tuple[int, ...], **options: Any) -> Graph:
    """One operator between int8 tensors."""
    out = quantised(len(inputs), output)
    op = Operator(0, name, 1, tuple(t.index for t in inputs), (out.index,), options)
    return Graph((op,), (*inputs, out), (0,), (out.index,))


def constant(index: int, values: list[int]) -> Tensor:
    data = b"".join(v.to_bytes(4, "little", signed=True) for v in values)
    return Tensor(index, f"t{index}", "INT32", (len(values),), data=data)


IMAGE = quantised(0, (1, 8, 8, 4))


@pytest.mark.parametrize(
    "allowed",
    [
        graph("CONV_2D", [IMAGE], (1, 8, 8, 8), dilationWFactor=2, dilationHFactor=2),
        graph("MEAN", [IMAGE, constant(1, [1, 2])], (1, 4)),
        graph("PAD", [IMAGE], (1, 10, 10, 4)),
        graph("FULLY_CONNECTED", [quantised(0, (1, 64))], (1, 7), weightsFormat=0),
        graph("MAX_POOL_2D", [IMAGE], (1, 4, 4, 4), fusedActivationFunction="NONE"),
        graph("SOFTMAX", [quantised(0, (1, 16_000))], (1, 16_000)),
        graph("STRIDED_SLICE", [IMAGE, constant(1, [0]), constant(2, [4]), constant(3, [1, 1])], (1, 4, 8, 4)),
    ],
    ids=lambda g: g.operators[0].name,
)
def test_what_keeps_the_rules_has_no_objection(allowed: Graph) -> None:
    assert objections(allowed) == ()


@pytest.mark.parametrize(
    ("refused", "rule"),
    [
        (graph("CONV_2D", [IMAGE], (1, 8, 8, 8), dilationWFactor=2, dilationHFactor=1), "dilation 2×1"),
        (graph("HARD_SWISH", [IMAGE], (1, 8, 8, 4)), "not among the operators"),
        (graph("LEAKY_RELU", [IMAGE], (1, 8, 8, 4)), "not among the operators"),
        (graph("MEAN", [IMAGE, constant(1, [0, 1])], (8, 4)), "batch"),
        (graph("MEAN", [IMAGE, constant(1, [-4])], (8, 8, 4)), "batch"),
        (graph("MEAN", [quantised(0, (1, 8, 8, 6)), constant(1, [1, 2])], (1, 6)), "depth 6"),
        (graph("PAD", [IMAGE], (3, 8, 8, 4)), "pads the batch"),
        (graph("FULLY_CONNECTED", [quantised(0, (9, 64))], (9, 7)), "one-dimensional"),
        (graph("FULLY_CONNECTED", [quantised(0, (1, 64))], (1, 7), weightsFormat=1), "shuffled"),
        (graph("AVERAGE_POOL_2D", [IMAGE], (1, 4, 4, 4), fusedActivationFunction="RELU6"), "RELU6 fused"),
        (graph("CONCATENATION", [IMAGE], (1, 8, 8, 4), fusedActivationFunction="RELU"), "RELU fused"),
        (graph("SOFTMAX", [quantised(0, (1, 16_001))], (1, 16_001)), "16,000"),
        (graph("STRIDED_SLICE", [IMAGE, constant(1, [0]), constant(2, [4]), constant(3, [2])], (1, 4, 8, 4)), "stride"),
        (graph("ADD", [quantised(0, (2, 2, 8, 8, 4))], (2, 2, 8, 8, 4)), "three innermost"),
        (graph("RELU", [quantised(0, (-1, 8, 8, 4))], (1, 8, 8, 4)), "free dimension"),
    ],
    ids=lambda value: value.operators[0].name if isinstance(value, Graph) else "",
)
def test_a_broken_rule_is_named_with_its_operator(refused: Graph, rule: str) -> None:
    (found,) = objections(refused)
    assert found.operator == f"{refused.operators[0].name} #0"
    assert rule in found.rule


def test_float_tensors_and_float_input_are_refused() -> None:
    floats = Graph(
        (Operator(0, "RELU", 1, (0,), (1,)),),
        (Tensor(0, "in", "FLOAT32", (1, 4)), Tensor(1, "out", "FLOAT32", (1, 4))),
        (0,),
        (1,),
    )
    whole, operator = objections(floats)
    assert whole == Objection("the model", "takes or gives float32: int8 input and output are needed (--io int8)")
    assert operator.rule == "works on float32: only quantised tensors map"


def test_one_subgraph_is_needed() -> None:
    two = dataclasses.replace(graph("RELU", [IMAGE], (1, 8, 8, 4)), subgraphs=2)
    assert objections(two)[0].rule == "has 2 subgraphs: one is supported"
