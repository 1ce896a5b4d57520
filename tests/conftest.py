"""Shared by all tests."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from edge_emotion.edge_runtime import cli
from edge_emotion.train.drawn_faces import write_dataset
from hypothesis import settings

settings.register_profile("edge-emotion", deadline=None)  # no test asserts on the clock
settings.load_profile("edge-emotion")

ALLOWED_SKIPS = ("real data", "hardware")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fail-on-skip",
        action="store_true",
        help=f"fail when a test is skipped for another reason than missing {' or '.join(ALLOWED_SKIPS)}",
    )


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With --fail-on-skip: a skip whose reason does not start with an allowed one is a failure."""
    if not session.config.getoption("--fail-on-skip"):
        return
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    for report in reporter.stats.get("skipped", []) if reporter else []:
        reason = report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else ""
        if not reason.startswith(ALLOWED_SKIPS):
            reporter.write_line(f"not allowed to skip here: {report.nodeid}: {reason}", red=True)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def drawn_faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small dataset of drawn faces in the Kaggle layout: 12 training and 4 validation images of 7 classes."""
    return write_dataset(tmp_path_factory.mktemp("drawn"), 12, 4)


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process, in an empty folder with a cache of its own: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGE_EMOTION_CACHE", str(tmp_path / "cache"))

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["edge-emotion", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        captured = capsys.readouterr()
        return int(exit_.value.code or 0), captured.out, captured.err

    return call
