"""`edge-emotion run`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import console, options
from .config_file import use_config
from .errors import INTERRUPTED

if TYPE_CHECKING:
    from .outputs.output import Output
    from .outputs.statistics import Statistics
    from .pipeline import Pipeline


def token_of_a_page(context: typer.Context, token: str | None) -> str | None:
    """Callback of `--web-token`: one that is only in the environment is nothing to a run without a page."""
    source = context.get_parameter_source("web_token")
    is_typed = source is None or source.name != "ENVIRONMENT"
    return token if is_typed or context.params.get("web") is not None else None


def run(
    source: Annotated[
        str,
        typer.Option("--source", "-s", help="Camera number (0), picamera, a video, a folder of pictures, or a URL."),
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="A .tflite file, or the name of a bundled model.")
    ] = "edge-m",
    classes: options.Classes = None,
    detector: options.Detector = "auto",
    detect_every: Annotated[
        str,
        typer.Option(metavar="N|auto", help="Search each Nth frame, follow in between; auto keeps a camera's rate."),
    ] = "auto",
    half_life: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Smoothing: after this time a frame counts half. 0: off.")
    ] = 0.5,
    margin: Annotated[
        float, typer.Option(min=0, max=0.99, help="How much likelier another label must be to take over.")
    ] = 0.1,
    settle: Annotated[float, typer.Option(min=0, max=1, help="A label becomes steady at this probability.")] = 0.5,
    unsettle: Annotated[float, typer.Option(min=0, max=1, help="It becomes uncertain below this one.")] = 0.4,
    jsonl: Annotated[
        str | None, typer.Option("--jsonl", metavar="FILE", help="One JSON line a frame; - is stdout.")
    ] = None,
    csv: Annotated[str | None, typer.Option("--csv", metavar="FILE", help="One row a face; - is stdout.")] = None,
    rotate_mb: Annotated[
        float, typer.Option(min=0, metavar="MB", help="Begin a new --jsonl or --csv file at this size. 0: never.")
    ] = 0.0,
    keep: Annotated[int, typer.Option(min=1, help="How many rotated files to keep.")] = 10,
    aggregate: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Write only counts and mean probabilities, no single face."),
    ] = None,
    video: Annotated[
        str | None, typer.Option("--video", metavar="FILE", help="Write a video with the faces drawn in.")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Show a window (q ends); needs a screen.")] = False,
    web: Annotated[
        str | None,
        typer.Option("--web", metavar="HOST:PORT", help="A live page; 127.0.0.1:8080 for this machine only."),
    ] = None,
    web_token: Annotated[
        str | None,
        typer.Option(
            "--web-token",
            envvar="EDGE_EMOTION_WEB_TOKEN",
            callback=token_of_a_page,
            help="What the page asks for; needed on a network.",
        ),
    ] = None,
    no_frames: Annotated[bool, typer.Option("--no-frames", help="A page without the picture.")] = False,
    mqtt: Annotated[
        str | None,
        typer.Option(
            "--mqtt",
            metavar="URL",
            help="mqtt://[USER@]HOST[:PORT][/TOPIC], mqtts:// for TLS. Home Assistant finds it.",
        ),
    ] = None,
    mqtt_ca: Annotated[
        Path | None, typer.Option("--mqtt-ca", metavar="FILE", help="Certificate authority of an mqtts:// broker.")
    ] = None,
    mqtt_password_file: Annotated[
        Path | None,
        typer.Option("--mqtt-password-file", metavar="FILE", help="Or set EDGE_EMOTION_MQTT_PASSWORD."),
    ] = None,
    size: Annotated[str | None, typer.Option(metavar="WxH", help="Picture size to ask of a camera.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frame rate to ask of a camera.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for a camera that is not there yet.")] = False,
    max_frames: Annotated[int | None, typer.Option("--max-frames", min=1, help="Stop after so many frames.")] = None,
    labels: options.Labels = None,
    input_spec: options.Input = None,
    backend: options.Backend = "auto",
    threads: options.Threads = 1,
    device: Annotated[
        str, typer.Option(help="auto, cpu, or an Edge TPU: usb, usb:0, pci:0. Falls back to the CPU.")
    ] = "auto",
    config_file: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", is_eager=True, callback=use_config, help="These options, from a TOML file."
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No live line and no summary.")] = False,
) -> None:
    """Find faces in a camera, video or folder and say their apparent expressions, steadily.

    Nothing that shows a face is written unless you ask for it with --video.

    Example: `edge-emotion run --source 0 --jsonl faces.jsonl`
    """
    import cv2

    from .outputs.choice import open_outputs
    from .outputs.statistics import Statistics
    from .outputs.terminal import Terminal
    from .pipeline import Pipeline
    from .run_config import RunConfig

    config = RunConfig.from_options(
        source=source,
        model=model,
        classes=classes,
        labels=labels,
        input_spec=input_spec,
        backend=backend,
        threads=threads,
        device=device,
        size=size,
        fps=fps,
        wait=wait,
        detector=detector,
        detect_every=detect_every,
        half_life=half_life,
        margin=margin,
        settle=settle,
        unsettle=unsettle,
        jsonl=jsonl,
        csv=csv,
        rotate_mb=rotate_mb,
        keep=keep,
        video=video,
        show=show,
        web=web,
        web_token=web_token,
        no_frames=no_frames,
        mqtt=mqtt,
        mqtt_ca=mqtt_ca,
        mqtt_password_file=mqtt_password_file,
        aggregate=aggregate,
        max_frames=max_frames,
    )
    cv2.setNumThreads(threads)  # OpenCV would take every core for pictures too small to share
    for number in ending_signals():
        signal.signal(number, lambda *_: sys.exit(0))  # until the pipeline takes over: end in order
    statistics = Statistics()
    asked = open_outputs(config)
    outputs: list[Output] = [statistics, *asked]
    if sys.stderr.isatty() and not quiet:
        outputs.append(Terminal(sys.stderr))
    pipeline = Pipeline.from_config(config, outputs)
    with stopping_at_signals(pipeline) as interrupted, pipeline:  # a second SIGHUP keeps no video from being finished
        for _ in pipeline:
            pass
    if not quiet:
        console.note(summary(statistics, outputs))
        if not asked and not sys.stdout.isatty():  # a pipe or a file waits for something
            console.note("nothing was recorded: add --jsonl - to get the results as lines (--help lists other outputs)")
    if interrupted():
        raise typer.Exit(INTERRUPTED)


def ending_signals() -> list[signal.Signals]:
    """SIGTERM, and SIGHUP (the terminal is gone; Windows has none) unless it is ignored, as `nohup` has it."""
    hang_up = [signal.SIGHUP] if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else []
    return [signal.SIGTERM, *hang_up]


@contextmanager
def stopping_at_signals(pipeline: Pipeline) -> Iterator[Callable[[], bool]]:
    """While inside, SIGTERM, SIGHUP and Ctrl-C end the pipeline after the frame in hand; a second Ctrl-C at once.

    Yields a function that says whether Ctrl-C was pressed.
    """
    pressed = False

    def stop(number: int, frame: object) -> None:
        nonlocal pressed
        if number == signal.SIGINT:
            if pressed:
                raise KeyboardInterrupt
            pressed = True
        pipeline.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, *ending_signals())}
    try:
        yield lambda: pressed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def summary(statistics: Statistics, outputs: Sequence[Output] = ()) -> str:
    """The closing lines: frames and faces, times by stage, label changes, and what outputs tell of themselves."""
    seen = f"{console.counted(statistics.frames, 'frame')}, {console.counted(statistics.faces, 'face')}"
    lines = [f"{seen}, {statistics.frames_per_s:.1f} frames/s"]
    times = statistics.latency_ms()
    if times:
        parts = (f"{stage} {t['p50']:.2f} ({t['p95']:.2f})" for stage, t in times.items())
        lines.append(f"ms a frame, p50 (p95): {', '.join(parts)}")
    changes = statistics.changes_per_minute()
    if changes:
        lines.append(f"label changes a minute: {changes[0]:.1f} raw, {changes[1]:.1f} smoothed")
    return "\n".join([*lines, *filter(None, (output.outcome() for output in outputs))])
