"""A Raspberry Pi without the board: Python and this package run on an emulated Arm processor that counts instructions.

QEMU's user mode translates the Arm programs of an Arm Debian userland, one process at a time, inside a chroot. What is
executed is what a Pi executes, bit for bit; how long it takes says nothing about a Pi. What can be measured is how many
instructions a piece of work takes: that repeats from run to run and needs no quiet machine.

    python -m edge_emotion.benchmarks.emulation cortex-a72 -m edge_emotion.edge_runtime.cli predict --help

What has to be right for this to work, and is easily got wrong:

- A guest process may not start another one: without binfmt_misc the kernel cannot execute an Arm program, which is also
  why QEMU and not Python is what the chroot runs.
- QEMU has to be the dynamically linked build, because only that one takes plugins; the chroot has none of the host's
  libraries, so its loader and libraries are copied in and named on the command line.
- XNNPACK and ruy choose their kernels by the processor that /proc/cpuinfo and /sys/devices/system/cpu describe. In the
  chroot these are plain files that describe the emulated board: the host's would make them fail, or choose wrongly.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..edge_runtime.errors import DeviceError, EdgeEmotionError, OptionError
from ..edge_runtime.machine import cache_dir
from .userland import PYTHON, Userland, checked, missing_tools

CORES = 4
PACKAGES = ("benchmarks", "edge_runtime")
"""The parts of edge-emotion that a guest sees, beside this file."""

_COMMAND_LINE = (
    *("typer==0.28.0", "rich==15.0.0", "markdown-it-py==4.3.0", "mdurl==0.1.2", "Pygments==2.21.0"),
    *("shellingham==1.5.4", "annotated-doc==0.0.7"),
)
"""Typer and all that it brings: the classifier needs none of it, the commands do."""

ARM64 = Userland(
    architecture="arm64",
    packages=("python3.11", "libstdc++6", "libgcc-s1", "libatomic1", "zlib1g"),
    wheels=("ai-edge-litert==2.3.0", "numpy==2.4.6", "opencv-python-headless==4.14.0.94", *_COMMAND_LINE),
    platforms=("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"),
)
"""64-bit Raspberry Pi OS as `pip install edge-emotion` leaves it."""

ARMHF = Userland(
    architecture="armhf",
    packages=("python3.11", "python3-numpy", "python3-opencv", "opencv-data"),
    wheels=("tflite-runtime==2.14.0", *_COMMAND_LINE),
    platforms=("manylinux_2_34_armv7l", "manylinux_2_17_armv7l", "manylinux2014_armv7l"),
)
"""32-bit Raspberry Pi OS: PyPI has no NumPy, OpenCV or LiteRT for it, so the first two are Debian's."""


@dataclass(frozen=True)
class Processor:
    """What /proc/cpuinfo says of a core (Linux, arch/arm64/kernel/cpuinfo.c): fields of Arm's MIDR register."""

    part: int
    variant: int
    revision: int
    features: str
    architecture: int = 8

    def cpuinfo(self, cores: int = CORES) -> str:
        """The text of /proc/cpuinfo."""
        return "".join(
            f"processor\t: {core}\nBogoMIPS\t: 108.00\nFeatures\t: {self.features}\nCPU implementer\t: 0x41\n"
            f"CPU architecture: {self.architecture}\nCPU variant\t: {self.variant:#x}\nCPU part\t: {self.part:#05x}\n"
            f"CPU revision\t: {self.revision}\n\n"
            for core in range(cores)
        )


@dataclass(frozen=True)
class Mark:
    """A point that a guest passed, and how many instructions it had executed by then (see icount.c)."""

    id: int
    instructions: int


@dataclass(frozen=True)
class EmulatedRun:
    """What a finished guest left: its standard output and error, and its marks in order."""

    stdout: str
    stderr: str
    marks: tuple[Mark, ...]

    def sections(self) -> dict[int, list[int]]:
        """Instructions of each run of each section: section s begins at mark 2s and ends at mark 2s + 1.

        Raises DeviceError when a section ends that did not begin.
        """
        counts: dict[int, list[int]] = {}
        began: dict[int, int] = {}
        for mark in self.marks:
            section, end = divmod(mark.id, 2)
            if not end:
                began[section] = mark.instructions
            elif section in began:
                counts.setdefault(section, []).append(mark.instructions - began.pop(section))
            else:
                raise DeviceError(f"mark {mark.id} ends section {section}, which did not begin")
        return counts


class GuestError(EdgeEmotionError):
    """The guest's program failed; the message is the last thing it said."""


@dataclass(frozen=True)
class EmulatedBoard:
    """A board to run Python on. cpu: QEMU's name. getpriority: its system call number. library_path: see `Userland`."""

    name: str
    description: str
    userland: Userland
    qemu: str
    cpu: str
    processor: Processor
    getpriority: int
    library_path: str = ""

    def missing(self) -> str | None:
        """Why this machine cannot emulate the board, in one line with the fix; None when it can."""
        programs = ["gcc", self.qemu]
        return missing_tools(programs if self.userland.path.exists() else [*programs, "mmdebstrap"])

    def qemu_version(self) -> str:
        """QEMU's version, or an empty string when it is missing."""
        if shutil.which(self.qemu) is None:
            return ""
        said = subprocess.run([self.qemu, "--version"], capture_output=True, text=True, check=False).stdout
        found = re.search(r"version (\S+)", said)
        return found[1] if found else ""

    def run(self, arguments: Sequence[str], files: Mapping[str, bytes] | None = None) -> EmulatedRun:
        """Run the guest's Python with these arguments; `edge_emotion.edge_runtime` can be imported there.

        files: name → content, found in /work. Raises DeviceError when this machine cannot emulate, GuestError when the
        program fails.
        """
        why_not = self.missing()
        if why_not:
            raise DeviceError(why_not)
        with self.userland.opened() as root:
            self._furnish(root, files or {})
            done = subprocess.run(self.command(root, arguments), capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise GuestError(_epitaph(done))
            return EmulatedRun(done.stdout, done.stderr, parse_marks((root / "work" / "marks").read_text()))

    def command(self, root: Path, arguments: Sequence[str]) -> list[str]:
        """The command that runs the guest's Python, with nothing of this machine's environment."""
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": "/tmp",
            "LANG": "C.UTF-8",
            "PYTHONPATH": "/work:/site",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONHASHSEED": "0",
            "OPENBLAS_NUM_THREADS": "1",  # a thread pool at import would be counted, and differ from run to run
            **({"LD_LIBRARY_PATH": self.library_path} if self.library_path else {}),
        }
        loader = next((root / "host").glob("ld-linux*")).name
        return [
            *("env", "-i", *(f"{name}={value}" for name, value in environment.items())),
            *("/usr/sbin/chroot", str(root), f"/host/{loader}", "--library-path", "/host"),
            *("/host/qemu", "-cpu", self.cpu, "-plugin", f"file=/host/icount.so,out=/work/marks,nr={self.getpriority}"),
            *(f"/usr/bin/python{PYTHON}", *arguments),
        ]

    def _furnish(self, root: Path, files: Mapping[str, bytes]) -> None:
        """Everything that the userland lacks: emulator, counter, processor description, this package, the files."""
        host, work, cpus = root / "host", root / "work", root / "sys/devices/system/cpu"
        for folder in (host, work):
            shutil.rmtree(folder, ignore_errors=True)
        for folder in (host, work, cpus, root / "proc", root / "tmp"):
            folder.mkdir(parents=True, exist_ok=True)
        for library in _libraries(self.qemu):
            shutil.copy(library, host)
        shutil.copy(str(shutil.which(self.qemu)), host / "qemu")
        shutil.copy(_plugin(), host / "icount.so")
        (root / "proc/cpuinfo").write_text(self.processor.cpuinfo())
        for name in ("possible", "present"):
            (cpus / name).write_text(f"0-{CORES - 1}\n")
        source = Path(__file__).resolve().parent.parent
        for package in PACKAGES:
            without = shutil.ignore_patterns("__pycache__", "baselines")
            shutil.copytree(source / package, work / "edge_emotion" / package, ignore=without)
        for name, content in files.items():
            if PurePosixPath(name).name != name:
                raise DeviceError(f"a guest's file is named without folders, got {name!r}")
            (work / name).write_bytes(content)


_ARM64_FEATURES = "fp asimd evtstrm crc32 cpuid"

BOARDS: dict[str, EmulatedBoard] = {
    board.name: board
    for board in (
        EmulatedBoard(
            name="cortex-a72",
            description="Raspberry Pi 4, 64 bits",
            userland=ARM64,
            qemu="qemu-aarch64",
            cpu="cortex-a72",
            processor=Processor(0xD08, 0, 3, _ARM64_FEATURES),
            getpriority=141,
        ),
        EmulatedBoard(
            name="cortex-a76",
            description="Raspberry Pi 5, 64 bits",
            userland=ARM64,
            qemu="qemu-aarch64",
            cpu="cortex-a76",
            processor=Processor(
                part=0xD0B,
                variant=4,
                revision=1,
                features=f"{_ARM64_FEATURES} aes pmull sha1 sha2 atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp",
            ),
            getpriority=141,
        ),
        EmulatedBoard(
            name="armv7",
            description="Raspberry Pi 2 to 4 with 32-bit Raspberry Pi OS",
            userland=ARMHF,
            qemu="qemu-arm",
            cpu="cortex-a7",
            processor=Processor(
                part=0xC07,
                variant=0,
                revision=5,
                features="half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm",
                architecture=7,
            ),
            getpriority=96,
            library_path="/usr/lib/arm-linux-gnueabihf/blas:/usr/lib/arm-linux-gnueabihf/lapack",
        ),
    )
}


def get_board(name: str) -> EmulatedBoard:
    """The board of that name. Raises OptionError."""
    if name not in BOARDS:
        raise OptionError(f"unknown board {name!r} to emulate: {', '.join(BOARDS)}")
    return BOARDS[name]


def parse_marks(text: str) -> tuple[Mark, ...]:
    """The marks that icount.c wrote, one `id count` a line. Raises DeviceError for anything else."""
    try:
        return tuple(Mark(*map(int, line.split(" "))) for line in text.splitlines())
    except (TypeError, ValueError) as error:
        raise DeviceError(f"the instruction counter wrote no marks but {text[:80]!r}") from error


def _plugin() -> Path:
    """icount.c as a library of this machine, compiled once for each version of the source."""
    source = Path(__file__).with_name("icount.c")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    library = cache_dir() / "emulated" / f"icount-{digest}.so"
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        partial = library.with_suffix(f".{os.getpid()}.partial")
        checked(["gcc", "-shared", "-fPIC", "-O2", "-o", str(partial), str(source)])
        partial.replace(library)
    return library


def _libraries(program: str) -> list[str]:
    """Paths of the loader and libraries of a program of this machine. Raises DeviceError when it has none."""
    listed = subprocess.run(["ldd", str(shutil.which(program))], capture_output=True, text=True, check=False).stdout
    libraries = re.findall(r"(/\S+) \(0x", listed)
    if not any("ld-linux" in library for library in libraries):
        raise DeviceError(f"{program} is linked statically, so it takes no plugins: Debian 12's qemu-user is needed")
    return libraries


def _epitaph(done: subprocess.CompletedProcess[str]) -> str:
    """How a guest ended, with the last thing it said. chroot passes on QEMU's status, QEMU the guest's."""
    code = done.returncode
    killed = -code if code < 0 else code - 128 if code > 128 else 0
    how = f"was killed by {signal.Signals(killed).name}" if killed in set(signal.Signals) else f"exited with {code}"
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return f"the guest {how}" + (f": {said[-1][:300]}" if said else "")


def main(arguments: Sequence[str] | None = None) -> int:
    """`[--file FILE]… BOARD PYTHON-ARGUMENTS…`: run Python on an emulated board, FILEs in /work."""
    parser = argparse.ArgumentParser(prog="python -m edge_emotion.benchmarks.emulation", description=main.__doc__)
    parser.add_argument("board", choices=BOARDS)
    parser.add_argument("--file", action="append", type=Path, default=[], help="is /work/<its name> there")
    parser.add_argument("python", nargs=argparse.REMAINDER, help="arguments of the guest's Python")
    chosen = parser.parse_args(arguments)
    try:
        run = get_board(chosen.board).run(chosen.python, {path.name: path.read_bytes() for path in chosen.file})
    except EdgeEmotionError as error:
        print(f"edge-emotion: {error}", file=sys.stderr)
        return error.exit_code
    sys.stderr.write(run.stderr)
    sys.stdout.write(run.stdout)
    for section, counts in run.sections().items():
        print(f"section {section}: {', '.join(f'{count:,}' for count in counts)} instructions", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
