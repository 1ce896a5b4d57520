"""What may have disturbed the figures, said loudly."""

from __future__ import annotations

from collections.abc import Sequence

from .environment import INT8_SIMD, Environment, Vitals
from .report import Row

NOISY_MAD = 0.05
NOISY_ROUNDS = 0.10
BUSY_LOAD = 0.5
STOLEN = 0.02
"""Of the time of all cores, taken by the host of a virtual machine."""


def noise_notes(environment: Environment, before: Vitals, after: Vitals, rows: Sequence[Row]) -> list[str]:
    """One sentence for each thing that makes the figures less certain; empty on a quiet machine."""
    notes = []
    if environment.governor not in (None, "performance"):
        notes.append(
            f"the CPU governor is {environment.governor}, not performance: times are those of a clock that moves "
            "(sudo cpupower frequency-set -g performance)"
        )
    elif environment.governor is None and not environment.virtual:
        notes.append("the CPU governor cannot be read: whether the clock moves is unknown")
    if environment.virtual:
        notes.append("this is a virtual machine: its clock and its neighbours are not ours to see")
    if before.load is not None and before.load > BUSY_LOAD:
        notes.append(
            f"the minute before the start had a load of {before.load:.2f}: if that goes on, times are too long"
        )
    if environment.machine == "x86_64" and environment.simd and not INT8_SIMD & set(environment.simd):
        notes.append("this processor has no int8 dot product (VNNI): int8 gains less here, or nothing; ask the device")
    stolen = (after.steal_s or 0.0) - (before.steal_s or 0.0)
    elapsed = max(after.time_s - before.time_s, 1e-9) * environment.cores
    if stolen > STOLEN * elapsed:
        notes.append(f"the host took {100 * stolen / elapsed:.0f} % of this virtual machine's time meanwhile")
    meanwhile = set(after.throttled_since_boot or ()) - set(before.throttled_since_boot or ())
    for name in sorted({*(before.throttled or ()), *(after.throttled or ()), *meanwhile}):
        notes.append(f"THROTTLED ({name}): cool the board or mend its supply, and measure again")
    noisy = [row for row in rows if row.latency and is_noisy(row)]
    if noisy:
        everywhere = len(noisy) == sum(row.latency is not None for row in rows)
        names = "every row" if everywhere else "; ".join(row.label for row in noisy)
        notes.append(f"NOISY: times spread more than a quiet machine's in {names}; compare ratios, not milliseconds")
    restless = [row.label for row in rows if row.stable is False]
    if restless:
        notes.append(f"warm-up never became stable for {'; '.join(restless)}")
    return notes


def is_noisy(row: Row) -> bool:
    """Whether samples spread (MAD over 5 % of the median) or round medians wander (over 10 % apart)."""
    if row.latency is None:
        return False
    wander = max(row.round_p50_ms) / max(min(row.round_p50_ms), 1e-9) - 1
    return row.latency.mad > NOISY_MAD * row.latency.p50 or wander > NOISY_ROUNDS
