"""What this device can run, and one command that mends each thing that is wrong.

Every check is a small function over `System` and `Installation`, so that tests replay what real machines say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from . import doctor_board, doctor_cameras, doctor_software
from .board import System
from .doctor_check import Check, Finding, Installation

ALL_CHECKS: tuple[Check, ...] = (
    doctor_software.check_python,
    doctor_software.check_runtime,
    doctor_software.check_opencv,
    doctor_software.check_extras,
    doctor_software.check_models,
    doctor_software.check_detector,
    doctor_cameras.check_usb_cameras,
    doctor_cameras.check_csi_cameras,
    doctor_board.check_edge_tpu,
    doctor_board.check_governor,
    doctor_board.check_temperature,
    doctor_board.check_throttling,
    doctor_board.check_memory,
)
"""In the order of the report."""


def examine(system: System, installation: Installation, checks: Iterable[Check] = ALL_CHECKS) -> Iterator[Finding]:
    """Findings as they are made. A check that fails itself is a warning, and the others go on."""
    for check in checks:
        try:
            yield from check(system, installation)
        except Exception as error:
            name = check.__name__.removeprefix("check_").replace("_", " ")
            yield Finding(
                name,
                "warning",
                f"this check failed ({type(error).__name__}: {error})",
                "edge-emotion --debug doctor    # and report what it prints",
            )


def stops(findings: Iterable[Finding]) -> bool:
    """Whether something keeps `run` from working."""
    return any(finding.status == "stop" for finding in findings)


def to_json(findings: Iterable[Finding]) -> dict[str, Any]:
    """The document of `doctor --json`."""
    listed = list(findings)
    return {"schema_version": 1, "ok": not stops(listed), "findings": [finding.to_json() for finding in listed]}
