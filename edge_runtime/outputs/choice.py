"""From the options to the outputs."""

from __future__ import annotations

from contextlib import ExitStack

from ..run_config import RunConfig
from .output import Output


def open_outputs(config: RunConfig) -> list[Output]:
    """One output for each option that names one; those opened are closed again when a later one fails."""
    with ExitStack() as stack:
        outputs: list[Output] = []
        if config.jsonl is not None:
            from .jsonlines import JsonLines

            outputs.append(stack.enter_context(JsonLines(config.jsonl)))
        stack.pop_all()
        return outputs
