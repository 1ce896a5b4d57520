from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from edge_emotion.edge_runtime import cli
from edge_emotion.edge_runtime.board import LinuxSystem, Ran
from edge_emotion.edge_runtime.errors import OptionError, OutputError
from edge_emotion.edge_runtime.service import Service, quote, system_service, user_service
from edge_emotion.edge_runtime.service_cli import run_options
from hypothesis import given
from hypothesis import strategies as st

TOKEN = "a-token-of-this-test"


def main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["edge-emotion", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("EDGE_EMOTION_WEB_TOKEN", raising=False)
    return tmp_path


def verify(unit: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze: apt-get install systemd")
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    about_it = [line for line in done.stderr.splitlines() if unit.name in line]
    assert (done.returncode, about_it) == (0, []), done.stderr


@pytest.mark.parametrize("folder", ["plain", "with space", "100%", 'quote"s', "dollar$HOME"])
def test_units_pass_systemd_analyze(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    python = tmp_path / folder / "python"
    python.symlink_to(sys.executable)
    program = sys.executable if '"' in folder else str(python)
    for name, user in (("edge-emotion", None), ("edge-emotion-door", "root")):
        unit = tmp_path / f"{name}.service"
        service = Service(name, unit, tmp_path / folder / "run.toml", tmp_path / folder, program, user)
        service.install({"source": "0"})
        verify(unit)


@pytest.mark.parametrize(
    ("service", "run_as", "target"),
    [
        (system_service("door", "pi"), ["User=pi"], "multi-user.target"),
        (user_service("door", Path("/home/pi")), [], "default.target"),
    ],
)
def test_a_unit_runs_as_its_user_and_writes_for_nobody_else(service: Service, run_as: list[str], target: str) -> None:
    unit = service.unit.splitlines()
    assert [line for line in unit if line.startswith("User=")] == run_as
    assert {f"WantedBy={target}", "UMask=0077"} <= set(unit)


def test_the_options_of_a_system_service_belong_to_its_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owners: dict[Path, str] = {}
    monkeypatch.setattr(shutil, "chown", owners.__setitem__)
    service = system_service("door", "pi", tmp_path)
    service.install({"source": "0"})
    assert owners == {service.config_path: "pi"}


def test_a_broken_unit_does_not_pass(tmp_path: Path) -> None:
    unit = tmp_path / "broken.service"
    service = Service("broken", unit, tmp_path / "run.toml", tmp_path, "/no/such/python")
    service.install({"source": "0"})
    with pytest.raises(AssertionError):
        verify(unit)


def test_install_writes_the_options_for_this_user_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--source", "0", "--wait", "--web", "0.0.0.0:8080", "--web-token", TOKEN, "--threads", "2"]
    assert main(monkeypatch, "service", "install", *arguments) == 0
    options = home / "edge-emotion" / "edge-emotion.toml"
    assert tomllib.loads(options.read_text()) == {
        "source": "0",
        "wait": True,
        "web": "0.0.0.0:8080",
        "web-token": TOKEN,
        "threads": 2,
    }
    assert options.stat().st_mode & 0o777 == 0o600
    unit = (home / "systemd" / "user" / "edge-emotion.service").read_text()
    assert TOKEN not in unit
    assert "Restart=on-failure" in unit
    told = capsys.readouterr().out
    assert TOKEN not in told
    assert "systemctl --user enable edge-emotion\n  systemctl --user restart edge-emotion\n" in told
    assert "enable-linger" in told


def test_the_log_is_looked_for_in_all_journals() -> None:
    assert user_service("door", Path("/home/pi")).next_steps[-1] == "journalctl --user-unit door -f"
    assert system_service("door", "pi").next_steps[-1] == "journalctl -u door -f"


def test_what_was_installed_is_what_run_reads(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "faces.mp4").touch()
    monkeypatch.chdir(home)
    said = ["--source", "faces.mp4", "--classes", "angry,happy", "--fps", "12.5", "--no-frames", "--web", "8080"]
    assert main(monkeypatch, "service", "install", *said) == 0
    path = str(home / "edge-emotion" / "edge-emotion.toml")
    assert run_options(["--config", path]) == run_options(said)


def test_a_token_in_the_environment_is_kept_for_a_page_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("starlette", reason="needs the web extra")
    monkeypatch.setenv("EDGE_EMOTION_WEB_TOKEN", TOKEN)
    options = home / "edge-emotion" / "edge-emotion.toml"
    assert main(monkeypatch, "service", "install", "--source", "0") == 0
    assert TOKEN not in options.read_text()
    assert main(monkeypatch, "service", "install", "--source", "0", "--web", "0.0.0.0:8080") == 0
    assert tomllib.loads(options.read_text())["web-token"] == TOKEN


def test_without_options_the_file_is_kept(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(monkeypatch, "service", "install", "--source", "7") == 0
    assert main(monkeypatch, "service", "install") == 0
    assert 'source = "7"' in (home / "edge-emotion" / "edge-emotion.toml").read_text()
    capsys.readouterr()
    options = home / "edge-emotion" / "edge-emotion.toml"
    assert main(monkeypatch, "service", "install", "--dry-run") == 0
    assert capsys.readouterr().out.endswith(f"# {options} is kept as it is\n\n")
    assert main(monkeypatch, "service", "install", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kept"], told["options"], told["backup_path"]) == (True, None, None)


def test_without_options_and_file_what_is_shown_is_what_is_written(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(monkeypatch, "service", "install", "--dry-run") == 0
    shown = capsys.readouterr()
    assert 'source = "0"\nwait = true\n' in shown.out
    assert "--source 0 --wait" in shown.err
    assert main(monkeypatch, "service", "install", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    written = tomllib.loads((home / "edge-emotion" / "edge-emotion.toml").read_text())
    assert told["options"] == written == {"source": "0", "wait": True}
    assert not told["kept"]


def test_nothing_is_said_of_the_defaults_where_they_are_not_used(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(monkeypatch, "service", "install", "--source", "7") == 0
    assert main(monkeypatch, "service", "install") == 0  # the file is there
    assert capsys.readouterr().err == ""


def test_the_help_leads_to_the_options_of_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(monkeypatch, "service", "install", "--help") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "[OPTIONS OF RUN]" in told
    assert "--source" in told
    assert "edge-emotion run --help" in told


def test_other_options_leave_the_former_ones_beside_them(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = home / "edge-emotion" / "edge-emotion.toml"
    former = home / "edge-emotion" / "edge-emotion.toml.bak"
    assert main(monkeypatch, "service", "install", "--source", "7") == 0
    options.write_text('source = "7"  # the door\nclasses = "angry,happy"\n')
    capsys.readouterr()
    for _ in range(2):  # once more with the same options loses nothing either
        assert main(monkeypatch, "service", "install", "--source", "8") == 0
        assert tomllib.loads(options.read_text()) == {"source": "8"}
        assert former.read_text() == 'source = "7"  # the door\nclasses = "angry,happy"\n'
    assert former.stat().st_mode & 0o777 == 0o600
    assert capsys.readouterr().out.count(f"kept the former options in {former}") == 1


def test_a_name_may_end_as_the_unit_does(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(monkeypatch, "service", "install", "--name", "door.service") == 0
    assert [path.name for path in (home / "systemd" / "user").iterdir()] == ["door.service"]


def test_dry_run_writes_nothing_and_shows_no_token(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for more in ((), ("--json",), ("--system",)):
        arguments = ("--source", "0", "--web", "0.0.0.0:1", "--web-token", TOKEN)
        assert main(monkeypatch, "service", "install", "--dry-run", *more, *arguments) == 0
        shown = capsys.readouterr().out
        assert "[Service]" in shown
        assert TOKEN not in shown
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("wrong", [("--sorce", "0"), ("--threads", "x"), ("--max-frames", "0"), ("stray", "words")])
def test_wrong_options_are_refused_before_anything_is_written(
    home: Path, monkeypatch: pytest.MonkeyPatch, wrong: tuple[str, str]
) -> None:
    assert main(monkeypatch, "service", "install", "--source", "0", *wrong) == 2
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "code", "why"),
    [
        (("--web", "0.0.0.0:8080"), 2, "needs a token"),
        (("--web", "8080", "--web-token", "short"), 2, "at least 12"),
        (("--web", "a..b:8080", "--web-token", TOKEN), 2, "HOST:PORT"),
        (("--detector", "nosuch"), 2, "unknown detector"),
        (("--model", "nosuch.tflite"), 1, "does not exist"),
        (("--classes", "happy,nosuch"), 2, "unknown class"),
        (("--size", "big"), 2, "640x480"),
        (("--mqtt", "mqtt://me:secretpw@broker"), 2, "may not hold a password"),
        (("--mqtt", "mqtt://broker", "--mqtt-password-file", "pw"), 2, "mqtt://USER@"),
        (("--no-frames",), 2, "add --web"),
        (("--backend", "nosuch"), 2, "backend"),
        (("--device", "banana"), 2, "unknown device"),
        (("--video", "x.xyz"), 2, "write to one of"),
        (("--source", "http://h:99999/x"), 2, "no valid host and port"),
        (("--detector", "blazeface-full"), 1, "not here yet"),
        (("--source", "nope.mp4"), 1, "does not exist"),
        (("--show",), 2, "no screen"),
    ],
)
def test_what_run_refuses_is_refused_before_anything_is_written(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    wrong: tuple[str, ...],
    code: int,
    why: str,
) -> None:
    if "--web" in wrong:
        pytest.importorskip("starlette", reason="needs the web extra")
    (home / "pw").write_text("geheim")
    monkeypatch.chdir(home)
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "empty"))
    monkeypatch.setenv("EDGE_EMOTION_MQTT_USER", "me")  # of this shell: the service will not have it
    assert main(monkeypatch, "service", "install", "--source", "0", *wrong) == code
    told = capsys.readouterr()
    assert why in told.err
    assert "secretpw" not in told.out + told.err
    assert [path.name for path in home.iterdir()] == ["pw"]


def test_a_detector_that_only_the_other_user_has_is_taken(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "empty"))
    arguments = ("service", "install", "--system", "--dry-run", "--source", "0", "--detector")
    assert main(monkeypatch, *arguments, "blazeface-full") == 0
    assert 'detector = "blazeface-full"' in capsys.readouterr().out
    assert main(monkeypatch, *arguments, "nosuch") == 2


def test_no_password_of_a_camera_is_shown(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = "rtsp://me:secretpw@camera/live"
    for more in (("--dry-run",), ("--dry-run", "--json"), ("--json",), ()):
        assert main(monkeypatch, "service", "install", "--source", source, *more) == 0
        told = capsys.readouterr()
        assert "secretpw" not in told.out + told.err
        assert ("rtsp://camera/live" in told.out) == (more != ())
    assert source in (home / "edge-emotion" / "edge-emotion.toml").read_text()


def test_what_the_environment_says_of_the_broker_stays_behind(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EDGE_EMOTION_MQTT_USER", "me")
    monkeypatch.setenv("EDGE_EMOTION_MQTT_PASSWORD", "secretpw")
    assert main(monkeypatch, "service", "install", "--source", "0", "--mqtt", "mqtt://broker") == 0
    told = capsys.readouterr().err
    assert "EDGE_EMOTION_MQTT_USER, EDGE_EMOTION_MQTT_PASSWORD of this shell" in told
    assert "secretpw" not in told


class Systemd(LinuxSystem):
    """Answers to systemctl, and what it was asked, with whether the unit was there."""

    def __init__(self, unit: Path, answer: Ran) -> None:
        self.asked: list[tuple[str, bool]] = []
        self._unit = unit
        self._answer = answer

    def run(self, *command: str, timeout_s: float = 10.0) -> Ran:
        self.asked.append((" ".join(command), self._unit.exists()))
        return self._answer


Ask = Callable[[Ran], Systemd]


@pytest.fixture
def systemd(home: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    def answer(ran: Ran) -> Systemd:
        made = Systemd(home / "systemd" / "user" / "edge-emotion.service", ran)
        monkeypatch.setattr("edge_emotion.edge_runtime.service_cli.LinuxSystem", lambda: made)
        return made

    return answer


def test_remove_ends_the_program_before_the_unit_is_gone(
    home: Path, systemd: Ask, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = systemd(Ran(0)).asked
    assert main(monkeypatch, "service", "remove") == 0
    assert "there is no" in capsys.readouterr().out
    assert asked == []
    main(monkeypatch, "service", "install", "--source", "0")
    capsys.readouterr()
    assert main(monkeypatch, "service", "remove") == 0
    systemctl = "systemctl --no-ask-password --user"
    assert asked == [(f"{systemctl} disable --now edge-emotion", True), (f"{systemctl} daemon-reload", False)]
    options = home / "edge-emotion" / "edge-emotion.toml"
    told = capsys.readouterr()
    assert told.out.endswith(f"edge-emotion.service; the options stay in {options}\n")
    assert told.err == ""
    assert options.exists()


def test_remove_without_systemd_says_what_is_left_to_do(
    home: Path, systemd: Ask, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    systemd(Ran(1, err="Failed to connect to bus: No medium found\n"))
    main(monkeypatch, "service", "install", "--source", "0")
    capsys.readouterr()
    assert main(monkeypatch, "service", "remove", "--json") == 0
    unit = home / "systemd" / "user" / "edge-emotion.service"
    told = capsys.readouterr()
    assert json.loads(told.out)["removed"] == [str(unit)]
    assert "(Failed to connect to bus: No medium found): systemctl --user disable --now edge-emotion" in told.err
    assert not unit.exists()


def test_a_system_service_that_may_not_be_removed_asks_for_sudo(tmp_path: Path) -> None:
    service = system_service("door", "pi", tmp_path)
    service.unit_path.mkdir(parents=True)  # a file of root's, as far as `unlink` goes
    systemd = Systemd(service.unit_path, Ran(1, err="Access denied"))
    with pytest.raises(OutputError, match=r"cannot remove .*sudo"):
        service.remove(systemd)
    assert systemd.asked == [("systemctl --no-ask-password --system disable --now door", True)]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "edge-emotion").write_text("a file where a folder should be")
    with pytest.raises(OutputError, match=r"^cannot write the service: /\S+: File exists$"):
        user_service("edge-emotion", tmp_path, tmp_path).install({"source": "0"})


def test_a_full_disk_is_told_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("edge_emotion.edge_runtime.service.write_atomically", fail)
    with pytest.raises(OutputError, match=r"^cannot write the service: No space left on device$"):
        user_service("edge-emotion", tmp_path).install({"source": "0"})


@pytest.mark.parametrize(("folder", "source"), [("caf\udce9", "0"), ("cafe", "caf\udce9.avi")])
def test_what_is_not_utf_8_is_refused_before_anything_is_written(tmp_path: Path, folder: str, source: str) -> None:
    with pytest.raises(OptionError, match="UTF-8"):
        user_service("edge-emotion", tmp_path / folder).install({"source": source})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "a b", "../x", "-x", "a/b", "x" * 65])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(OptionError, match="service name"):
        user_service(name, Path("/home/pi"))


@pytest.mark.parametrize("user", ["", "a b", "x\nExecStart=/bin/sh"])
def test_users_that_are_none(user: str) -> None:
    with pytest.raises(OptionError, match="no user name"):
        system_service("edge-emotion", user)


def test_a_wrong_option_is_not_tried_for_ever() -> None:
    unit = user_service("edge-emotion", Path("/home/pi")).unit
    assert f"RestartPreventExitStatus={OptionError.exit_code}\n" in unit
    assert "StartLimitIntervalSec=0" in unit


@given(st.text(st.characters(min_codepoint=32, exclude_characters="\x7f", exclude_categories=["Cs"])))
def test_quoted_words_are_one_word_again(word: str) -> None:
    import shlex

    quoted = quote(word).replace("%%", "%").replace("$$", "$")
    if not quoted.startswith('"'):
        assert quoted == word
    else:
        # Inside double quotes shlex knows the same two escapes, and leaves a lone $ alone.
        assert shlex.split(quoted) == [word]


def test_the_service_imports_nothing_from_its_folder() -> None:
    unit = user_service("edge-emotion", Path("/home/pi")).unit
    assert f"ExecStart={sys.executable} -P -m edge_emotion.edge_runtime.cli run --config " in unit


@pytest.mark.parametrize("program", ["/home/ann's/bin/python", '/say"so"/python', "/back\\slash/python"])
def test_a_program_that_systemd_does_not_start_is_refused(tmp_path: Path, program: str) -> None:
    with pytest.raises(OptionError, match="starts no program"):
        Service("door", tmp_path / "unit", tmp_path / "run.toml", tmp_path, program).install({"source": "0"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", ["a\nUser=root", "trailing ", "joins\\"])
def test_a_folder_that_a_unit_cannot_hold_is_refused_before_anything_is_written(tmp_path: Path, folder: str) -> None:
    service = Service("door", tmp_path / "unit", tmp_path / "run.toml", Path("/home") / folder, sys.executable)
    with pytest.raises(OptionError, match="cannot start in"):
        service.install({"source": "0"})
    assert list(tmp_path.iterdir()) == []


def test_a_line_break_cannot_end_the_command() -> None:
    with pytest.raises(OptionError, match="control characters"):
        quote("a\nUser=root")
