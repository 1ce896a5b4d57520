"""What can be told without QEMU and root comes first; then the real thing, on an emulated board."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from edge_emotion.benchmarks import emulated_cli, emulation, guest, instructions, userland
from edge_emotion.benchmarks.emulated_cli import bench_emulated
from edge_emotion.benchmarks.emulation import BOARDS, EmulatedBoard, EmulatedRun, Mark, get_board, parse_marks
from edge_emotion.benchmarks.instruction_limits import InstructionLimits
from edge_emotion.benchmarks.instructions import Agreement, EmulatedReport, EmulatedRow, comparison_crops, promise
from edge_emotion.edge_runtime import metadata
from edge_emotion.edge_runtime.errors import ContractError, DeviceError, EdgeEmotionError, ModelError, OptionError
from edge_emotion.edge_runtime.zoo import bundled_models
from edge_emotion.train.drawn_faces import draw_sample
from hypothesis import given
from hypothesis import strategies as st

MODELS = Path(__file__).parent.parent / "models"
RESIDUAL = MODELS / "residual-int8.tflite"

SAME = Agreement(n=200, pixels=True, bits=True, logit=0.0, probability=0.0, labels=1.0)


def row(count: int = 1000, **changes: object) -> EmulatedRow:
    counted = EmulatedRow("net", 10, "int8", "litert", {"invoke": count, "predict": count + 9}, {}, SAME)
    return dataclasses.replace(counted, **changes)  # type: ignore[arg-type]


def report(*rows: EmulatedRow, packages: dict[str, str] | None = None) -> EmulatedReport:
    return EmulatedReport("cortex-a72", "a Pi", rows, packages or {"numpy": "2"}, {}, ())


# -- the userland


def test_the_fingerprint_changes_with_whatever_changes_the_content() -> None:
    one = emulation.ARM64
    others = [
        emulation.ARMHF,
        dataclasses.replace(one, wheels=(*one.wheels[:-1], "typing-inspection==0.0.1")),
        dataclasses.replace(one, packages=(*one.packages, "hello")),
    ]
    assert one.fingerprint == dataclasses.replace(one).fingerprint
    assert len({userland.fingerprint for userland in (one, *others)}) == 4


def test_wheels_are_pinned_and_fetched_for_the_guest_without_dependencies(tmp_path: Path) -> None:
    command = emulation.ARM64.download_command(tmp_path)
    assert all("==" in wheel for wheel in emulation.ARM64.wheels + emulation.ARMHF.wheels)
    assert command[:5] == [sys.executable, "-P", "-m", "pip", "download"]
    assert "--no-deps" in command
    assert command[command.index("--python-version") + 1] == "3.11"
    assert "manylinux_2_17_aarch64" in command
    assert not any(part.startswith(("http", "--index", "--extra-index")) for part in command)


def test_debian_packages_are_unpacked_from_the_configured_mirror(tmp_path: Path) -> None:
    command = emulation.ARMHF.bootstrap_command(tmp_path, "file:/mirror/debian/")
    assert "--variant=extract" in command
    assert "--architectures=armhf" in command
    assert command[-1] == "deb file:/mirror/debian/ bookworm main"
    assert emulation.ARMHF.bootstrap_command(tmp_path, None)[-1] == str(tmp_path)


def test_a_failed_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(command: list[str]) -> None:
        (Path(emulation.ARM64.path.with_suffix(".partial")) / "usr").mkdir(parents=True)
        raise DeviceError("mmdebstrap failed (100): E: no network")

    monkeypatch.setenv("EDGE_EMOTION_CACHE", str(tmp_path))
    monkeypatch.setattr(userland, "missing_tools", lambda programs: None)
    monkeypatch.setattr(userland, "debian_mirror", lambda: None)
    monkeypatch.setattr(userland, "checked", fail)
    with pytest.raises(DeviceError, match="no network"), emulation.ARM64.opened():
        pass
    assert [path.suffix for path in (tmp_path / "emulated").iterdir()] == [".lock"]


def test_a_command_that_fails_is_quoted() -> None:
    with pytest.raises(DeviceError, match=r"sh failed \(3\): E: no such suite"):
        userland.checked(["sh", "-c", "echo working >&2; echo 'E: no such suite' >&2; exit 3"])


def test_missing_tools_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: type("Uname", (), {"machine": "x86_64"}))
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    assert "apt-get install mmdebstrap qemu-user" in str(userland.missing_tools(("mmdebstrap", "qemu-arm")))
    monkeypatch.setattr(shutil, "which", lambda name, path=None: f"/usr/bin/{name}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "root" in str(userland.missing_tools(("qemu-arm",)))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert userland.missing_tools(("qemu-arm",)) is None
    monkeypatch.setattr(os, "uname", lambda: type("Uname", (), {"machine": "aarch64"}))
    assert "x86-64" in str(userland.missing_tools(()))


def test_a_board_that_cannot_be_emulated_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulation, "missing_tools", lambda programs: "the emulated board needs root")
    with pytest.raises(DeviceError, match="needs root"):
        get_board("cortex-a72").run(["-c", "pass"])


# -- the board


def test_an_unknown_board_is_refused_with_the_known_ones() -> None:
    with pytest.raises(OptionError, match="cortex-a72, cortex-a76, armv7"):
        get_board("pi5")


def test_the_guest_gets_only_its_own_environment(tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "ld-linux-x86-64.so.2").touch()
    command = BOARDS["armv7"].command(tmp_path, ["-m", "this"])
    assert command[:2] == ["env", "-i"]
    assert "PYTHONHASHSEED=0" in command
    assert "LD_LIBRARY_PATH=/usr/lib/arm-linux-gnueabihf/blas:/usr/lib/arm-linux-gnueabihf/lapack" in command
    assert command[command.index("/usr/sbin/chroot") + 1] == str(tmp_path)
    assert command[-3:] == ["/usr/bin/python3.11", "-m", "this"]
    assert "file=/host/icount.so,out=/work/marks,nr=96" in command


def test_cpuinfo_describes_each_core_as_linux_does() -> None:
    text = BOARDS["cortex-a76"].processor.cpuinfo(cores=2)
    assert text.count("processor\t: ") == 2
    assert "CPU variant\t: 0x4\nCPU part\t: 0xd0b\nCPU revision\t: 1\n\n" in text
    assert "asimddp" in text
    assert "asimddp" not in BOARDS["cortex-a72"].processor.cpuinfo()
    assert "CPU architecture: 7\n" in BOARDS["armv7"].processor.cpuinfo()


def test_marks_become_sections() -> None:
    run = EmulatedRun("", "", parse_marks("0 100\n1 150\n2 160\n0 200\n1 260\n3 300\n"))
    assert run.marks[0] == Mark(0, 100)
    assert run.sections() == {0: [50, 60], 1: [140]}
    assert EmulatedRun("", "", parse_marks("")).sections() == {}
    with pytest.raises(DeviceError, match="did not begin"):
        EmulatedRun("", "", parse_marks("1 5\n")).sections()


@pytest.mark.parametrize("text", ["1", "1 2 3", "a b", "\n"])
def test_what_is_no_mark_is_refused(text: str) -> None:
    with pytest.raises(DeviceError, match="no marks"):
        parse_marks(text)


@given(st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 2**63)), max_size=20))
def test_marks_are_read_as_they_were_written(marks: list[tuple[int, int]]) -> None:
    assert [(mark.id, mark.instructions) for mark in parse_marks("".join(f"{i} {n}\n" for i, n in marks))] == marks


def test_a_guest_that_crashes_is_said_to() -> None:
    done = subprocess.CompletedProcess([], 139, "", "first\nqemu: uncaught target signal 11\n")
    assert emulation._epitaph(done) == "the guest was killed by SIGSEGV: qemu: uncaught target signal 11"
    assert emulation._epitaph(subprocess.CompletedProcess([], 2, "", "")) == "the guest exited with 2"


def test_a_static_qemu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        subprocess, "run", lambda *a, **k: subprocess.CompletedProcess([], 1, "not a dynamic executable", "")
    )
    with pytest.raises(DeviceError, match="statically"):
        emulation._libraries("qemu-arm")


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is missing")
def test_the_counter_compiles_without_a_warning(tmp_path: Path) -> None:
    source = Path(emulation.__file__).with_name("icount.c")
    command = ["gcc", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(tmp_path / "icount.so"), str(source)]
    assert subprocess.run(command, capture_output=True, check=False).stderr == b""


def test_the_classifier_needs_no_command_line_package() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['typer', 'rich', 'click']));"
        "import edge_emotion.edge_runtime.classifier, edge_emotion.benchmarks.guest"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# -- what both sides do


def test_crops_survive_the_way_to_the_guest() -> None:
    crops = comparison_crops(count=6)
    back = guest.unpack(guest.pack(crops))
    assert len(back) == 6
    assert all(np.array_equal(one, other) for one, other in zip(crops, back, strict=True))
    assert {crop.ndim for crop in crops} == {2, 3}


def test_the_guest_program_answers_what_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crops = comparison_crops(count=4)
    request = guest.Request(None, "auto", 2)
    (tmp_path / "model.tflite").write_bytes(RESIDUAL.read_bytes())
    (tmp_path / "crops.npz").write_bytes(guest.pack(crops))
    (tmp_path / "request.json").write_text(json.dumps(dataclasses.asdict(request)))
    guest.main(tmp_path)
    answer = json.loads(capsys.readouterr().out)
    assert answer == guest.answer(RESIDUAL.read_bytes(), crops, request)
    assert np.shape(answer["logits"]) == (4, 7)


def test_agreement_finds_the_one_logit_that_differs() -> None:
    here = {"pixels_sha256": "a", "logits": [[0.0, 1.0], [2.0, 1.0]], "probabilities": [[0.2, 0.8], [0.8, 0.2]]}
    assert Agreement.between(here, here) == dataclasses.replace(SAME, n=2)
    there = {**here, "logits": [[0.0, 1.0], [0.5, 1.0]], "pixels_sha256": "b"}
    assert Agreement.between(there, here) == Agreement(2, False, False, 1.5, 0.0, 0.5)


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({}, None),
        ({"agreement": dataclasses.replace(SAME, pixels=False)}, "other pixels"),
        ({"agreement": dataclasses.replace(SAME, bits=False, logit=0.25)}, "up to 0.25"),
        ({"agreement": dataclasses.replace(SAME, probability=2e-6)}, "2.0e-06"),
        ({"agreement": dataclasses.replace(SAME, bits=False), "precision": "float32"}, None),
        ({"agreement": dataclasses.replace(SAME, bits=False), "backend": "tflite-runtime"}, None),
        ({"agreement": None, "error": "the guest was killed"}, None),
    ],
)
def test_int8_has_to_agree_with_this_machine(changes: dict[str, object], broken: str | None) -> None:
    sentences = promise(row(**changes), "litert")  # type: ignore[arg-type]
    assert len(sentences) == (broken is not None)
    assert broken is None or broken in sentences[0]


# -- the gate


LIMITS = InstructionLimits(
    ceilings={"cortex-a72": {"net-int8": 1015}}, baseline={"cortex-a72": {"net-int8": 1000}}, packages={}
)


@pytest.mark.parametrize(("count", "passed"), [(900, 0), (1015, 0), (1016, 1), (1020, 1), (1021, 2)])
def test_a_count_passes_its_ceiling_and_its_baseline(count: int, passed: int) -> None:
    assert len(LIMITS.passed(report(row(count)))) == passed


def test_a_model_that_did_not_run_does_not_slip_through() -> None:
    failed = EmulatedRow("net", 10, error="the guest was killed by SIGSEGV")
    assert "SIGSEGV" in LIMITS.passed(report(failed))[0]
    assert LIMITS.remarks(report(failed)) == []


def test_remarks_name_other_packages_and_rows_without_limits() -> None:
    limits = dataclasses.replace(LIMITS, packages={"cortex-a72": {"numpy": "1"}})
    remarks = limits.remarks(report(row(900), row(model="other")))
    assert remarks[0] == "other-int8 has no limit on cortex-a72"
    assert "numpy 1 → 2" in remarks[1]
    assert "-10.0 %" in remarks[2]


def test_an_updated_baseline_keeps_ceilings_and_other_models(tmp_path: Path) -> None:
    updated = LIMITS.updated(report(row(7, model="other")))
    updated.write(tmp_path / "emulated.json")
    again = InstructionLimits.read(tmp_path / "emulated.json")
    assert again == updated
    assert again.ceilings == LIMITS.ceilings
    assert again.baseline == {"cortex-a72": {"net-int8": 1000, "other-int8": 7}}
    assert again.packages["cortex-a72"] == {"numpy": "2"}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 9}', '{"schema_version": 1, "speed": 3}'])
def test_a_file_that_is_no_baseline_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "limits.json").write_text(text)
    with pytest.raises(OptionError, match=r"limits\.json"):
        InstructionLimits.read(tmp_path / "limits.json")


def test_the_committed_baseline_keeps_its_own_ceilings() -> None:
    limits = InstructionLimits.read(Path(emulation.__file__).parent / "baselines" / "emulated.json")
    for board, ceilings in limits.ceilings.items():
        for model, ceiling in ceilings.items():
            assert 0 < limits.baseline[board][model] <= ceiling
        assert {"qemu", "numpy", "opencv", "litert"} <= set(limits.packages[board])


class FakeBoard(EmulatedBoard):
    """A board that answers like this machine and counts 50 and 60 instructions, or crashes."""

    def missing(self) -> str | None:
        return None

    def run(self, arguments: object, files: object = None) -> EmulatedRun:
        assert isinstance(files, dict)
        request = guest.Request(**json.loads(files["request.json"]))
        if files["model.tflite"] != RESIDUAL.read_bytes():
            raise emulation.GuestError("the guest was killed by SIGSEGV")
        answer = guest.answer(files["model.tflite"], guest.unpack(files["crops.npz"]), request)
        runs = guest.WARM_UP + request.repeats
        text = "0 0\n1 50\n" * runs + "2 0\n3 60\n" * runs
        return EmulatedRun(json.dumps(answer), "", parse_marks(text))


@pytest.fixture
def fake_board(monkeypatch: pytest.MonkeyPatch) -> None:
    real = BOARDS["cortex-a72"]
    board = FakeBoard(**{field.name: getattr(real, field.name) for field in dataclasses.fields(real)})
    monkeypatch.setitem(BOARDS, "cortex-a72", board)
    monkeypatch.setattr(emulated_cli, "comparison_crops", lambda split: comparison_crops(split, count=4))


@pytest.mark.usefixtures("fake_board")
def test_a_model_that_crashes_has_a_row_and_the_others_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    bench_emulated([str(MODELS / "brightness-int8.tflite"), str(RESIDUAL)], "cortex-a72", as_json=True)
    document = json.loads(capsys.readouterr().out)
    crashed, counted = document["rows"]
    assert "SIGSEGV" in crashed["error"]
    assert counted["instructions"] == {"invoke": 50, "predict": 60}
    assert counted["agreement"]["bits"] is True
    with pytest.raises(ModelError, match="no model could be run"):
        bench_emulated([str(MODELS / "brightness-int8.tflite")], "cortex-a72", as_json=True)


@pytest.mark.usefixtures("fake_board")
def test_labels_change_nothing_but_names(capsys: pytest.CaptureFixture[str]) -> None:
    known = metadata.read(RESIDUAL)
    assert known is not None
    renamed = known.renamed([name.upper() for name in known.labels])
    documents = []
    for declared in ({}, {RESIDUAL: renamed}, {RESIDUAL: dataclasses.replace(known, precision="")}):
        bench_emulated([str(RESIDUAL)], "cortex-a72", declared=declared, as_json=True)
        documents.append(json.loads(capsys.readouterr().out))
    assert documents[0] == documents[1] == documents[2]
    assert documents[0]["rows"][0]["precision"] == "int8"


@pytest.mark.usefixtures("fake_board")
def test_a_passed_ceiling_closes_the_gate_and_saves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "emulated.json"
    InstructionLimits(ceilings={"cortex-a72": {"residual-int8": 40}}).write(file)
    before = file.read_bytes()
    with pytest.raises(ContractError, match="over the ceiling of 40"):
        bench_emulated([str(RESIDUAL)], "cortex-a72", baseline=tmp_path, save_baseline=tmp_path)
    assert file.read_bytes() == before
    assert "not time" in capsys.readouterr().out
    with pytest.raises(OptionError, match="--baseline too"):
        bench_emulated([str(RESIDUAL)], "cortex-a72", save_baseline=file)
    InstructionLimits().write(tmp_path / "other.json")
    with pytest.raises(OptionError, match="--baseline too"):
        bench_emulated([str(RESIDUAL)], "cortex-a72", baseline=tmp_path / "other.json", save_baseline=file)
    assert file.read_bytes() == before


def test_an_output_that_cannot_be_written_is_said_before_the_counting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulated_cli, "emulate", lambda *_, **__: pytest.fail("it was counted"))
    (tmp_path / "file").touch()
    with pytest.raises(EdgeEmotionError, match="name another with --out"):
        bench_emulated([str(RESIDUAL)], "cortex-a72", out=tmp_path / "file" / "x")
    with pytest.raises(EdgeEmotionError, match="name another with --save-baseline"):
        bench_emulated([str(RESIDUAL)], "cortex-a72", save_baseline=tmp_path / "file" / "x" / "y.json")


# -- the real thing


def emulated(name: str) -> EmulatedBoard:
    board = BOARDS[name]
    why_not = board.missing()
    if why_not:
        pytest.skip(why_not)
    return board


@pytest.mark.emulated
@pytest.mark.parametrize("name", ["cortex-a72", "cortex-a76"])
def test_int8_gives_the_same_bits_on_arm_and_the_same_count_again(name: str) -> None:
    board = emulated(name)
    crops = comparison_crops()
    first, again = (instructions.emulate([str(RESIDUAL)], board, crops).rows[0] for _ in range(2))
    assert first.error is None
    assert first.agreement is not None
    assert first.agreement.n == 200
    assert first.agreement.pixels
    assert promise(first, "litert") == []
    assert first.instructions == again.instructions
    assert first.instructions["invoke"] < first.instructions["predict"]


@pytest.mark.emulated
def test_a_guest_that_fails_is_reported() -> None:
    with pytest.raises(emulation.GuestError, match="exited with 1: ValueError: no such thing"):
        emulated("cortex-a72").run(["-c", "raise ValueError('no such thing')"])


@pytest.mark.emulated
@pytest.mark.parametrize("name", ["cortex-a72", "armv7"])
def test_a_video_gives_the_same_labels_as_here(name: str, tmp_path: Path) -> None:
    board = emulated(name)
    video = tmp_path / "faces.avi"
    write_video(video)
    arguments = ["-m", "edge_emotion.edge_runtime.cli", "run", "--detector", "haar", "--jsonl", "-"]
    model = bundled_models().get("edge-s", RESIDUAL)  # RESIDUAL calls every drawn face the same: only boxes can differ
    there = board.run(
        [*arguments, "--source", f"/work/{video.name}", "--model", f"/work/{model.name}"],
        {video.name: video.read_bytes(), model.name: model.read_bytes()},
    ).stdout
    command = [sys.executable, *arguments, "--source", str(video), "--model", str(model)]
    here = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    faces, same = compare_faces(there, here)
    assert faces >= 30
    assert same >= 0.99 * faces


def write_video(path: Path, count: int = 40) -> None:
    """Three drawn faces that move, one of them in and out of the picture, as motion JPEG."""
    faces = [
        cv2.resize(draw_sample(expression, index), (120, 120), interpolation=cv2.INTER_CUBIC)
        for index, expression in enumerate(("happy", "neutral", "surprise"))
    ]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (480, 270))
    for step in range(count):
        frame = np.full((270, 480), 128, np.uint8)
        for index, face in enumerate(faces):
            left, top = 10 + 160 * index + step % 20, 20 + 2 * step + 10 * index
            seen = face[: max(0, 270 - top)]
            frame[top : top + 120, left : left + 120] = seen
        writer.write(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
    writer.release()


def compare_faces(there: str, here: str) -> tuple[int, int]:
    """(faces here, faces there that overlap one of them by half and have its label), over all frames."""
    faces = same = 0
    for line_there, line_here in zip(there.splitlines(), here.splitlines(), strict=True):
        others = json.loads(line_there)["faces"]
        for face in json.loads(line_here)["faces"]:
            faces += 1
            match = max(others, key=lambda other: overlap(other["box_xywh"], face["box_xywh"]), default=None)
            if match and overlap(match["box_xywh"], face["box_xywh"]) >= 0.5:
                same += match["label"] == face["label"]
    return faces, same


def overlap(one: list[int], other: list[int]) -> float:
    """Intersection over union of two boxes (left, top, width, height)."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (one[2] * one[3] + other[2] * other[3] - width * height)
