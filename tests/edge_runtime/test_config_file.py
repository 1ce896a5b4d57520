from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from edge_emotion.edge_runtime.cli import StageGroup
from edge_emotion.edge_runtime.config_file import Value, option_key, read_config, write_toml
from edge_emotion.edge_runtime.errors import OptionError
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def run() -> Any:
    return StageGroup(name="edge-emotion").get_command(None, "run")


def written(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_option_of_run_can_be_in_the_file(run: Any, tmp_path: Path) -> None:
    keys = {option_key(parameter): bool(parameter.is_flag) for parameter in run.params}
    assert {"source", "max-frames", "web", "no-frames", "mqtt", "wait", "detector"} <= set(keys)
    for key, is_flag in keys.items():
        path = written(tmp_path, f"{key} = {'true' if is_flag else 3}\n")
        if key in ("config", "help"):
            with pytest.raises(OptionError, match="unknown key"):
                read_config(path, run)
        else:
            assert list(read_config(path, run).values()) == [True if is_flag else 3]


def test_values(run: Any, tmp_path: Path) -> None:
    text = 'source = 0\nmax_frames = 5\nclasses = ["angry", "happy"]\nno-frames = false\nfps = 12.5\n'
    assert read_config(written(tmp_path, text), run) == {
        "source": 0,
        "max_frames": 5,
        "classes": "angry,happy",
        "no_frames": False,
        "fps": 12.5,
    }
    assert read_config(written(tmp_path, ""), run) == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("web_tokn = 'x'", "unknown key 'web_tokn': did you mean web-token"),
        ("sorce = 0", "did you mean source"),
        ("[web]\nport = 1", "web takes a number or a text, got a section"),
        ("no-frames = 'yes'", "no-frames takes true or false, got 'yes'"),
        ("max-frames = true", "max-frames takes a number or a text, got True"),
        ("classes = [1, 2]", "classes takes a number or a text"),
        ("source = 1979-05-27", "source takes a number or a text"),
        ("source = ", "is not TOML"),
        ("source = 1\nsource = 2", "is not TOML"),
    ],
)
def test_what_is_refused(run: Any, tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(OptionError, match=why):
        read_config(written(tmp_path, text), run)


def test_files_that_cannot_be_read(run: Any, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cannot read --config"):
        read_config(tmp_path / "none.toml", run)
    with pytest.raises(OptionError, match="cannot read --config"):
        read_config(tmp_path, run)
    (tmp_path / "latin.toml").write_bytes(b'source = "\xe9"')
    with pytest.raises(OptionError, match="is not TOML"):
        read_config(tmp_path / "latin.toml", run)


def test_the_command_line_wins_and_the_file_fills_the_rest(run: Any, tmp_path: Path) -> None:
    path = written(tmp_path, "source = 0\nthreads = 3\nmodel = 'edge-s'\n")
    context = run.make_context("run", ["--threads", "2", "--config", str(path)])
    assert (context.params["source"], context.params["threads"], context.params["model"]) == ("0", 2, "edge-s")


def test_a_value_out_of_range_is_refused_like_on_the_command_line(run: Any, tmp_path: Path) -> None:
    path = written(tmp_path, "source = 0\nthreads = 'many'\n")
    with pytest.raises(Exception, match="many") as error:
        run.make_context("run", ["--config", str(path)])
    assert getattr(error.value, "exit_code", None) == 2


@pytest.mark.parametrize("text", ["web-token = 'a-token-of-this-test'", "source = 'rtsp://me:a-token@camera/live'"])
def test_a_secret_that_others_can_read_is_told(
    run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    path = written(tmp_path, f"{text}\nthreads = 1\n")
    path.chmod(0o644)
    run.make_context("run", ["--config", str(path), "--source", "0"])
    told = capsys.readouterr().err
    assert "chmod 600" in told
    assert "a-token" not in told
    path.chmod(0o600)
    run.make_context("run", ["--config", str(path), "--source", "0"])
    assert capsys.readouterr().err == ""
    path.chmod(0o644)
    path.write_text("source = 'rtsp://camera/live'\n")
    run.make_context("run", ["--config", str(path)])
    assert capsys.readouterr().err == ""


@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z-]{0,20}", fullmatch=True),
        st.one_of(
            st.booleans(),
            st.integers(-(2**63), 2**63 - 1),
            st.floats(allow_nan=False),
            st.text(st.characters(exclude_categories=["Cs"])),
        ),
    )
)
def test_what_is_written_is_read_again(values: dict[str, Value]) -> None:
    assert tomllib.loads(write_toml(values)) == values
