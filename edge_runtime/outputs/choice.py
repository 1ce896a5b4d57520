"""From the options to the outputs."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from .. import console
from ..run_config import RunConfig
from .output import Output


def open_outputs(config: RunConfig) -> list[Output]:
    """One output for each option that names one; those opened are closed again when a later one fails.

    Raises DeviceError, OutputError or OptionError when one cannot be opened, ModelError for a model without labels.
    """
    outputs: list[Output] = []
    with ExitStack() as stack:
        if config.jsonl is not None:
            outputs.append(stack.enter_context(_records(config, config.jsonl, "jsonl")))
        if config.csv is not None:
            outputs.append(stack.enter_context(_records(config, config.csv, "csv")))
        if config.video is not None:
            from .queued import Queued
            from .video import AnnotatedVideo

            video = AnnotatedVideo(Path(config.video))
            outputs.append(stack.enter_context(Queued(video, wait=not config.is_live, limit=16)))
        if config.show:
            from .window import Window

            outputs.append(stack.enter_context(Window()))
        if config.web is not None:
            from .web import WebOutput

            page = stack.enter_context(WebOutput(config.web, config.web_token, config.frames, _kept(config)))
            console.note(f"page: {page.url}")
            outputs.append(page)
        if config.mqtt is not None:
            from .mqtt import MqttOutput
            from .mqtt_address import parse_mqtt

            broker = parse_mqtt(config.mqtt, config.mqtt_ca, config.mqtt_password_file)
            outputs.append(stack.enter_context(MqttOutput(broker, config.labels_in_order)))
        stack.pop_all()
    return outputs


def _kept(config: RunConfig) -> list[str]:
    """What of a frame outlives it."""
    records = {config.jsonl, config.csv} - {None}
    outputs = {
        "the picture (a video)": config.video is not None,
        "each face's place and expression (a file)": bool(records - {"-"}),
        "each face's place and expression (standard output)": "-" in records,
        "expressions (MQTT)": config.mqtt is not None,
    }
    return [what for what, is_kept in outputs.items() if is_kept]


def _records(config: RunConfig, target: str, kind: str) -> Output:
    """A record file in its format, of frames or of aggregates; behind a queue for a live camera."""
    from ..cameras.stream import without_password
    from . import aggregate, csv
    from .jsonl import JsonLines
    from .queued import Queued
    from .record_file import RecordFile

    def file(header: str = "") -> RecordFile:
        return RecordFile(target, header=header, rotate_bytes=round(config.rotate_mb * 1e6), keep=config.keep)

    records: JsonLines | csv.Csv
    if kind == "jsonl":
        records = JsonLines(file())
    else:
        labels = config.labels_in_order
        columns = csv.FACE if config.aggregate is None else aggregate.COLUMNS
        records = csv.Csv(file(csv.header(columns, labels)), columns, labels)
    output: Output = records
    if config.aggregate is not None:
        output = aggregate.Aggregate(config.aggregate, records, console.printable(without_password(config.source)))
    return Queued(output, wait=False, limit=1024) if config.is_live else output
