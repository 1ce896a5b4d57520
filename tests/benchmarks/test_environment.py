from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from edge_emotion.benchmarks.environment import Machine, cpu_name, simd_names
from edge_emotion.benchmarks.noise import is_noisy, noise_notes
from edge_emotion.benchmarks.report import Row
from edge_emotion.edge_runtime.board import CPUFREQ

MakeMachine = Callable[[dict[str, str]], Machine]

PI5 = {
    "/proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0",
    "/proc/cpuinfo": "processor\t: 0\nCPU part\t: 0xd0b\n\nprocessor\t: 1\nCPU part\t: 0xd0b\n",
    "/proc/meminfo": "MemTotal:        8000000 kB\nMemAvailable:    7000000 kB\n",
    "/proc/loadavg": "0.10 0.20 0.30 1/200 999",
    "/proc/stat": "cpu  1 2 3 4 5 6 7 200 0 0\ncpu0 1\n",
    "/etc/os-release": 'NAME="x"\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n',
    f"{CPUFREQ}/scaling_governor": "ondemand",
    f"{CPUFREQ}/cpuinfo_max_freq": "2400000",
    f"{CPUFREQ}/scaling_cur_freq": "1500000",
    "/sys/class/thermal/thermal_zone0/temp": "61250",
    "/sys/devices/platform/soc/soc:firmware/get_throttled": "50005",
}


def test_a_machine_that_tells_nothing(bare_machine: Machine) -> None:
    environment, vitals = bare_machine.environment(), bare_machine.vitals()
    assert environment.governor is None
    assert environment.memory_mb is None
    assert environment.cores >= 1
    assert environment.board.endswith("machine")
    assert vitals.temperature_c is None
    assert vitals.clock_mhz is None
    assert vitals.throttled is None
    assert noise_notes(environment, vitals, vitals, []) == [
        "the CPU governor cannot be read: whether the clock moves is unknown"
    ]


def test_a_raspberry_pi_5(make_machine: MakeMachine) -> None:
    machine = make_machine(PI5)
    environment, vitals = machine.environment(), machine.vitals()
    assert environment.board == "Raspberry Pi 5 Model B Rev 1.0"
    assert environment.cpu == "Cortex-A76"
    assert environment.system == "Debian GNU/Linux 13 (trixie)"
    assert environment.max_mhz == 2400
    assert environment.memory_mb == 8192
    assert vitals.clock_mhz == 1500
    assert vitals.temperature_c == 61.2
    assert vitals.steal_s == 2.0
    assert vitals.throttled == ("under-voltage", "throttled")


def test_a_governor_that_may_not_be_read_and_a_broken_frequency(make_machine: MakeMachine) -> None:
    files = {path: text for path, text in PI5.items() if not path.endswith("scaling_governor")}
    machine = make_machine({**files, f"{CPUFREQ}/scaling_cur_freq": "<unknown>"})
    assert machine.environment().governor is None
    assert machine.vitals().clock_mhz is None


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        ("model name\t: AMD EPYC\nflags : fpu\n", "AMD EPYC"),
        ("CPU part\t: 0xd08\n", "Cortex-A72"),
        ("CPU part\t: 0xd03\nCPU part\t: 0xd08\n", "Cortex-A53 + Cortex-A72"),
        ("CPU part\t: 0xfff\n", "Arm part 0xfff"),
        ("model name\t: ARMv7 Processor rev 4\nCPU part\t: 0xd03\n", "Cortex-A53"),
    ],
)
def test_cpu_names(cpuinfo: str, name: str) -> None:
    assert cpu_name(cpuinfo) == name


@pytest.mark.parametrize(
    ("cpuinfo", "names"),
    [
        ("", ()),
        ("flags\t\t: fpu avx avx2 avx512_vnni\nflags\t\t: fpu avx avx2 avx512_vnni\n", ("avx2", "avx512_vnni")),
        ("Features\t: fp asimd asimdhp asimddp\n", ("asimd", "asimdhp", "asimddp")),
        ("Features\t: fp asimd\n\nFeatures\t: fp asimd asimddp\n", ("asimd",)),
        ("Features\t: half thumb neon vfpv4\n", ("neon",)),
    ],
)
def test_simd_is_what_every_core_has(cpuinfo: str, names: tuple[str, ...]) -> None:
    assert simd_names(cpuinfo) == names


@pytest.mark.parametrize(
    ("machine", "simd", "said"),
    [
        ("x86_64", ("avx2",), True),
        ("x86_64", (), False),
        ("x86_64", ("avx2", "avx_vnni"), False),
        ("aarch64", ("asimd",), False),
    ],
)
def test_an_int8_ratio_of_a_processor_without_int8_instructions_is_warned_of(
    make_machine: MakeMachine, machine: str, simd: tuple[str, ...], said: bool
) -> None:
    quiet = make_machine({**PI5, f"{CPUFREQ}/scaling_governor": "performance"})
    environment = replace(quiet.environment(), machine=machine, simd=simd)
    vitals = replace(quiet.vitals(), load=None, throttled=(), throttled_since_boot=())
    notes = noise_notes(environment, vitals, vitals, [])
    assert any("no int8 dot product" in note for note in notes) == said


def test_pinning_takes_the_fastest_cpus(make_machine: MakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2, 3, 4, 5}, raising=False)
    big = {f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq": "2000000" for cpu in (4, 5)}
    little = {f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq": "1500000" for cpu in range(4)}
    machine = make_machine(big | little)
    assert machine.fastest_cpus(1) == [5]
    assert machine.fastest_cpus(2) == [4, 5]
    assert machine.fastest_cpus(3) == [3, 4, 5]
    assert machine.fastest_cpus(6) == []
    assert machine.fastest_cpus(64) == []


def test_what_disturbs_is_said_loudly(make_machine: MakeMachine, make_row: Callable[..., Row]) -> None:
    busy = make_machine({**PI5, "/proc/loadavg": "3.50 1 1 1/2 3", "/proc/cpuinfo": "flags : fpu hypervisor\n"})
    before = busy.vitals()
    after = replace(before, time_s=before.time_s + 10, steal_s=(before.steal_s or 0) + 100)
    rows = [make_row("calm"), make_row("wild", round_p50_ms=(1.0, 1.5)), make_row("late", stable=False)]
    notes = "\n".join(noise_notes(busy.environment(), before, after, rows))
    for words in ("governor is ondemand", "virtual machine", "load of 3.50", "THROTTLED (under-voltage)", "host took"):
        assert words in notes
    assert "NOISY: times spread more than a quiet machine's in wild, 1 thread;" in notes
    assert "never became stable for late" in notes


@pytest.mark.parametrize(("steal_s", "said"), [(0.7, []), (0.9, ["the host took 2 % of this virtual machine's time"])])
def test_stolen_time_is_told_from_a_fiftieth_of_that_of_all_cores(
    make_machine: MakeMachine, steal_s: float, said: list[str]
) -> None:
    machine = make_machine({**PI5, f"{CPUFREQ}/scaling_governor": "performance"})
    before = replace(machine.vitals(), load=None, throttled=(), throttled_since_boot=())
    after = replace(before, time_s=before.time_s + 10, steal_s=(before.steal_s or 0.0) + steal_s)
    notes = noise_notes(replace(machine.environment(), cores=4), before, after, [])
    assert [note.removesuffix(" meanwhile") for note in notes] == said


def test_throttling_between_two_looks_is_seen(make_machine: MakeMachine) -> None:
    quiet = {**PI5, f"{CPUFREQ}/scaling_governor": "performance"}
    firmware = "/sys/devices/platform/soc/soc:firmware/get_throttled"
    before = make_machine({**quiet, firmware: "0"}).vitals()
    after = make_machine({**quiet, firmware: "40000"}).vitals()
    environment = make_machine(quiet).environment()
    assert noise_notes(environment, before, before, []) == []
    assert noise_notes(environment, before, after, []) == [
        "THROTTLED (throttled): cool the board or mend its supply, and measure again"
    ]


def test_noise_of_a_row(make_row: Callable[..., Row]) -> None:
    assert not is_noisy(make_row(latency=None))
    assert not is_noisy(make_row())
    assert is_noisy(make_row(round_p50_ms=(1.0, 1.11)))


def test_what_is_done_to_the_json_is_not_done_to_the_environment(bare_machine: Machine) -> None:
    environment = bare_machine.environment()
    environment.to_json()["packages"]["numpy"] = "another"
    environment.to_json()["board"] = "another"
    assert environment.packages.get("numpy") != "another"
    assert environment.board != "another"
