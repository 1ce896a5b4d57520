"""`edge-emotion bench --emulate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..edge_runtime import console
from ..edge_runtime.dataset import Split
from ..edge_runtime.errors import ContractError, ModelError, OptionError
from ..edge_runtime.metadata import ModelMetadata
from .emulation import get_board
from .files import check_outputs, write_json
from .instruction_limits import InstructionLimits
from .instructions import comparison_crops, emulate, render


def bench_emulated(
    models: Sequence[str],
    board_name: str,
    *,
    split: Split | None = None,
    declared: Mapping[Path, ModelMetadata] | None = None,
    baseline: Path | None = None,
    save_baseline: Path | None = None,
    out: Path | None = None,
    as_json: bool = False,
) -> None:
    """Count and compare on an emulated board, print, and judge.

    declared: as for `emulate`. Raises ContractError when a limit of the baseline is passed or int8 answers differ from
    this machine's, ModelError when no model could be run, DeviceError when this machine cannot emulate.
    """
    board = get_board(board_name)
    baseline, save_baseline = _file(baseline), _file(save_baseline)
    limits = InstructionLimits.read(baseline) if baseline else InstructionLimits()
    if save_baseline is not None and save_baseline != baseline and save_baseline.exists():
        raise OptionError(
            f"--save-baseline {save_baseline} exists: name it with --baseline too, its ceilings stay then"
        )
    check_outputs(out, save_baseline)
    crops = comparison_crops(split)
    with console.progress(f"emulating {board.name}") as bar:
        report = emulate(models, board, crops, declared=declared, progress=bar)
    if save_baseline is not None:
        limits = limits.updated(report)
    passed = limits.passed(report) if baseline else []
    remarks = limits.remarks(report) if baseline else []
    document = {**report.to_json(), "limits_passed": passed, "remarks": remarks}
    if out is not None:
        write_json(document, out / f"emulated-{board.name}.json")
    if as_json:
        console.emit_json(document)
    else:
        console.emit("\n".join([render(report), *remarks]))
    if all(row.error for row in report.rows):
        raise ModelError(f"no model could be run on the emulated {board.name}")
    if report.broken:
        raise ContractError("; ".join(report.broken))
    if passed:
        raise ContractError("; ".join(passed))
    if save_baseline is not None:
        limits.write(save_baseline)


def _file(baseline: Path | None) -> Path | None:
    """The baseline file, `emulated.json` in a folder of baselines."""
    return baseline / "emulated.json" if baseline is not None and baseline.is_dir() else baseline
