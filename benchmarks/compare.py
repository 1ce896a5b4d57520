"""A bench against an earlier one: what changed beyond noise, and whether a limit is passed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..edge_runtime.console import table
from ..edge_runtime.errors import OptionError
from ..edge_runtime.metrics import exceeds
from .comparison import Change, Comparison, Limits, Verdict
from .latency import Ratio, unpaired_ratio
from .report import SCHEMA_VERSION, BenchReport

KEY = ("model", "precision", "backend", "threads")
"""What makes two rows the same one."""
SAME_MACHINE = ("board", "cpu", "simd", "cores", "machine")
"""Times are compared with limits only when these agree."""


def compare_reports(report: BenchReport, baseline: Mapping[str, Any], name: str, limits: Limits) -> Comparison:
    """Compare with a baseline's document (see `read_baseline`) row by row.

    A row that ran in the baseline and does not run here fails; rows of the baseline that were not asked for are left
    out. Times of another machine are shown as changed, never as failed.
    """
    notes = []
    environment = report.environment.to_json()
    other = [key for key in SAME_MACHINE if baseline["environment"].get(key) != environment[key]]
    if other:
        machine = ", ".join(_told(key, baseline["environment"].get(key)) for key in other)
        notes.append(f"the baseline is of another machine ({machine}): latency and memory are shown, not gated")
    old = {tuple(row[key] for key in KEY): row for row in baseline["results"] if _ran(row)}
    changes: list[Change] = []
    for row in report.rows:
        document = row.to_json()
        before = old.pop(tuple(document[key] for key in KEY), None)
        if before is None:
            failed_before = any(row.model == key[0] and row.threads == key[3] for key in old)
            if row.error and failed_before:
                changes.append(Change(row.label, "runs", 1.0, 0.0, "failed", row.error))
            else:
                notes.append(f"{row.label} ({row.precision or 'failed'}) is not in the baseline")
            continue
        changes += _changes(row.label, before, document, limits, gate_times=not other)
        if before.get("accuracy") is not None and _ran(document) and document.get("accuracy") is None:
            notes.append(
                f"{row.label} has an accuracy in the baseline and none here: it is not gated (--data measures it)"
            )
    return Comparison(name, limits, tuple(changes), tuple(notes))


def read_baseline(path: Path) -> dict[str, Any]:
    """A report.json as a dict. Raises OptionError when it is missing, or not a bench report of this version."""
    try:
        document = json.loads(path.read_text())
    except OSError as error:
        raise OptionError(f"cannot read baseline {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise OptionError(f"baseline {path} is not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("schema_version") != SCHEMA_VERSION:
        raise OptionError(f"baseline {path} is not a report of schema {SCHEMA_VERSION}: write one with --save-baseline")
    rows = document.get("results")
    whole = isinstance(rows, list) and all({*KEY, "latency_ms", "round_p50_ms"} <= set(row) for row in rows)
    if not whole or not isinstance(document.get("environment"), dict):
        raise OptionError(f"baseline {path} has no whole results: write it anew with --save-baseline")
    return document


def baseline_rows(path: Path) -> list[str]:
    """The rows in a baseline's file, such as `edge-m int8 litert, threads 1`; none where there is no file yet.

    Raises OptionError when the file is something else, which a new baseline would replace.
    """
    if not path.exists():
        return []
    try:
        rows = [[row[key] for key in KEY] for row in json.loads(path.read_text())["results"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OptionError(
            f"--save-baseline {path} is there and is no baseline of times: name another file, or remove this one"
        ) from error
    return [f"{model} {precision} {backend}, threads {threads}" for model, precision, backend, threads in rows]


def as_baseline(report: BenchReport) -> dict[str, Any]:
    """What a committed baseline holds: the report's document without what only this run is interested in."""
    document = report.to_json()
    for row in document["results"]:
        for key in ("operators", "path", "confusion", "per_class", "recall_change_pp"):
            row.pop(key, None)
    for key in ("sustained", "comparison", "notes"):
        document.pop(key, None)
    for key in ("data", "video"):  # paths of one machine; the images' hash is in each row
        document["settings"].pop(key, None)
    return document


def board_slug(board: str) -> str:
    """A file name for a board's baseline.

    >>> board_slug("Raspberry Pi 5 Model B Rev 1.0")
    'raspberry-pi-5-model-b-rev-1.0'
    """
    return re.sub(r"[^a-z0-9.]+", "-", board.lower()).strip("-.") or "board"


def baseline_file(path: Path, board: str) -> Path:
    """The file itself, or the one of this board in a folder: one that is there, or that a name without suffix makes."""
    folder = path.is_dir() or not (path.suffix or path.exists())
    return path / f"{board_slug(board)}.json" if folder else path


def render_comparison(comparison: Comparison) -> str:
    """A table of what changed, or a sentence when nothing did."""
    changed = [change for change in comparison.changes if change.verdict != "same"]
    lines = [f"against {comparison.baseline}:"]
    if changed:
        cells = [[c.row, c.figure, f"{c.before:.4g}", f"{c.after:.4g}", _shown(c.verdict), c.detail] for c in changed]
        lines.append(table(["row", "figure", "before", "after", "verdict", ""], cells, left=2))
    elif comparison.changes:
        lines.append(f"nothing changed beyond noise in {len(comparison.changes)} figures")
    else:
        lines.append("no row could be compared")
    return "\n".join([*lines, *(f"note: {note}" for note in comparison.notes)])


def _shown(verdict: Verdict) -> str:
    """Loud for what closes the gate only."""
    return "FAILED" if verdict == "failed" else verdict


def _told(key: str, value: Any) -> str:
    """A field of the baseline's machine; baselines from before `simd` was recorded have none."""
    if key == "simd":
        return "SIMD not recorded" if value is None else f"SIMD {' '.join(value) or 'none'}"
    return str(value)


def _ran(row: Mapping[str, Any]) -> bool:
    """Whether a row's document is of a model that was timed and did not crash afterwards."""
    return row["latency_ms"] is not None and row.get("error") is None


def _changes(
    label: str, before: Mapping[str, Any], after: Mapping[str, Any], limits: Limits, gate_times: bool
) -> list[Change]:
    if not _ran(after):
        return [Change(label, "runs", 1.0, 0.0, "failed", after["error"] or "not measured")]
    ratio = unpaired_ratio(after["round_p50_ms"], before["round_p50_ms"])
    changes = [_latency_change(label, before, after, ratio, limits.slower if gate_times else None)]
    for figure, limit in (("size_bytes", limits.larger), ("peak_rss_mb", limits.more_memory if gate_times else None)):
        if before.get(figure) and after.get(figure):
            changes.append(_relative_change(label, figure, before[figure], after[figure], limit))
    if before.get("accuracy") is not None and after.get("accuracy") is not None:
        changes.append(_accuracy_change(label, before, after, limits.less_accurate_pp))
    return changes


def _latency_change(
    label: str, before: Mapping[str, Any], after: Mapping[str, Any], ratio: Ratio, limit: float | None
) -> Change:
    low, high = ratio.ci95
    verdict: Verdict = "same"
    if low > 1:
        verdict = "failed" if limit is not None and low > 1 + limit else "worse"
    elif high < 1:
        verdict = "better"
    detail = f"{100 * (ratio.value - 1):+.1f} % ({100 * (low - 1):+.1f} to {100 * (high - 1):+.1f})"
    return Change(label, "p50 ms", before["latency_ms"]["p50"], after["latency_ms"]["p50"], verdict, detail)


def _relative_change(label: str, figure: str, before: float, after: float, limit: float | None) -> Change:
    growth = after / before - 1
    verdict: Verdict = "same"
    if limit is not None and growth > limit:
        verdict = "failed"
    elif abs(growth) > (limit or 0.05):
        verdict = "worse" if growth > 0 else "better"
    return Change(label, figure, before, after, verdict, f"{100 * growth:+.1f} %")


def _accuracy_change(label: str, before: Mapping[str, Any], after: Mapping[str, Any], limit_pp: float) -> Change:
    """Accuracy has no noise when the images are the same: any change is real. On other images it is only shown."""
    drop = 100 * (before["accuracy"] - after["accuracy"])
    same_images = before.get("data_sha256") == after.get("data_sha256")
    verdict: Verdict = "same"
    if same_images and exceeds(drop, limit_pp):
        verdict = "failed"
    elif abs(drop) > 1e-9:
        verdict = "worse" if drop > 0 else "better"
    detail = f"{-drop:+.2f} pp" + ("" if same_images else ", on other images")
    return Change(label, "accuracy", before["accuracy"], after["accuracy"], verdict, detail)
