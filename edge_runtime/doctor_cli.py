"""`edge-emotion doctor`."""

from __future__ import annotations

import typer

from . import console, options
from .doctor_check import Finding

MARKS = {"ok": "ok", "note": "--", "warning": "!!", "stop": "XX"}


def doctor(as_json: options.Json = False) -> None:
    """What this device can run, and one command that mends each thing that is wrong. Ends with 1 if `run` cannot work.

    Example: `edge-emotion doctor`
    """
    from .board import LinuxSystem, board_name
    from .doctor import examine, stops, to_json
    from .doctor_check import Installation

    system = LinuxSystem()
    findings: list[Finding] = []
    if not as_json:
        console.emit(board_name(system) or "this machine")
    for finding in examine(system, Installation.current()):
        findings.append(finding)
        if not as_json:
            console.emit(line(finding))
    if as_json:
        console.emit_json({**to_json(findings), "board": board_name(system)})
    else:
        console.emit(closing(findings))
    if stops(findings):
        raise typer.Exit(1)


def line(finding: Finding) -> str:
    """A finding as text, its mend below it."""
    text = f"{MARKS[finding.status]}  {finding.check:<12} {finding.what}"
    return f"{text}\n    {'':<12} mend: {finding.mend}" if finding.mend else text


def closing(findings: list[Finding]) -> str:
    """The last line."""
    stopping = sum(finding.status == "stop" for finding in findings)
    warnings = sum(finding.status == "warning" for finding in findings)
    if stopping:
        return f"\n`run` cannot work yet: {console.counted(stopping, 'thing')} to mend, marked XX"
    return f"\n`run` can work; {console.counted(warnings, 'warning')}"
