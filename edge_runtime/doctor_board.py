"""Doctor's checks of the board: accelerator, clock, heat, power and memory."""

from __future__ import annotations

from collections.abc import Iterator

from .board import System, read_governor, read_memory_mib, read_temperature_c, read_throttled, throttled_names
from .doctor_check import Finding, Installation, untried
from .edgetpu import LIBRARY

HOT_C = 80.0  # a Pi 4 and 5 slow down here (Raspberry Pi documentation, frequency management)
LOW_MEMORY_MIB = 150
CORAL_USB = {("1a6e", "089a"): "not used since it was plugged in", ("18d1", "9302"): "used before"}
CORAL_PCI = ("0x1ac1", "0x089a")
UDEV_RULE = (
    """printf 'SUBSYSTEM=="usb", ATTRS{idVendor}=="%s", MODE="0664", GROUP="plugdev"\\n' 1a6e 18d1 | """
    "sudo tee /etc/udev/rules.d/99-edge-tpu.rules && sudo udevadm control --reload && sudo udevadm trigger"
)
INSTALL_LIBRARY = "sudo apt install libedgetpu1-std    # docs/coral.md says from where"


def check_edge_tpu(system: System, here: Installation) -> Iterator[Finding]:
    """A Coral on USB or PCI: its port's speed, permission, library."""
    found = False
    for folder in system.glob("/sys/bus/usb/devices/*"):
        ids = (system.read(f"{folder}/idVendor") or "", system.read(f"{folder}/idProduct") or "")
        if ids in CORAL_USB:
            found = True
            yield from _usb_coral(system, folder, CORAL_USB[ids])
    for folder in system.glob("/sys/bus/pci/devices/*"):
        if (system.read(f"{folder}/vendor"), system.read(f"{folder}/device")) == CORAL_PCI:
            found = True
            if system.glob("/dev/apex_*"):
                yield Finding("edge tpu", "ok", "Coral on PCIe")
            else:
                yield Finding(
                    "edge tpu", "warning", "Coral on PCIe has no driver (/dev/apex_0)", "sudo apt install gasket-dkms"
                )
    if not found:
        yield Finding("edge tpu", "note", "none found; the CPU is used")
        return
    libraries = system.run("/sbin/ldconfig", "-p")
    if libraries.code == 126:
        yield untried("edge tpu", libraries)
        return
    if LIBRARY not in libraries.out:
        yield Finding("edge tpu", "warning", f"{LIBRARY} is not installed", INSTALL_LIBRARY)
        return
    version = system.run("dpkg-query", "-W", "-f", "${Package} ${Version}", "libedgetpu1-std", "libedgetpu1-max").out
    yield Finding("edge tpu", "ok", f"library {version.strip() or 'found, not from a Debian package'}")


def _usb_coral(system: System, folder: str, state: str) -> Iterator[Finding]:
    speed = system.read(f"{folder}/speed") or "0"
    if speed.isdigit() and int(speed) < 5000:
        yield Finding(
            "edge tpu",
            "warning",
            f"Coral on USB 2 ({speed} Mbit/s): it moves pictures far slower",
            "plug it into a blue USB 3 port, with its own cable",
        )
    else:
        yield Finding("edge tpu", "ok", f"Coral on USB 3, {state}")
    bus, device = system.read(f"{folder}/busnum") or "0", system.read(f"{folder}/devnum") or "0"
    if not system.writable(f"/dev/bus/usb/{int(bus):03d}/{int(device):03d}"):
        yield Finding("edge tpu", "warning", "this user may not open the Coral", UDEV_RULE)


def check_governor(system: System, here: Installation) -> Iterator[Finding]:
    """How the clock is chosen."""
    governor = read_governor(system)
    if governor is None:
        return
    if governor == "powersave":
        yield Finding(
            "governor",
            "warning",
            "powersave keeps the clock at its lowest",
            "echo ondemand | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
        )
    else:
        yield Finding("governor", "ok", governor)


def check_temperature(system: System, here: Installation) -> Iterator[Finding]:
    """Heat of the processor."""
    temperature_c = read_temperature_c(system)
    if temperature_c is None:
        return
    if temperature_c >= HOT_C:
        yield Finding(
            "temperature", "warning", f"{temperature_c:.0f} °C: the clock is lowered", "fit a heat sink or a fan"
        )
    else:
        yield Finding("temperature", "ok", f"{temperature_c:.0f} °C")


def check_throttling(system: System, here: Installation) -> Iterator[Finding]:
    """What the firmware says of power and clock, now and since boot."""
    bits = read_throttled(system)
    if bits is None:
        return
    now, before = throttled_names(bits), throttled_names(bits >> 16)
    if "under-voltage" in (*now, *before):
        when = "now" if "under-voltage" in now else "since boot"
        yield Finding(
            "power",
            "warning",
            f"under-voltage {when}",
            "use the official power supply for this Pi, and a short cable; vcgencmd get_throttled says 0x0 then",
        )
    elif now:
        yield Finding("power", "warning", f"{', '.join(now)} now", "fit a heat sink or a fan")
    elif before:
        yield Finding("power", "note", f"since boot: {', '.join(before)}")
    else:
        yield Finding("power", "ok", "no under-voltage, no throttling since boot")


def check_memory(system: System, here: Installation) -> Iterator[Finding]:
    """Memory that is left."""
    sizes = read_memory_mib(system)
    free, total = sizes.get("MemAvailable"), sizes.get("MemTotal")
    if free is None or total is None:
        return
    if free < LOW_MEMORY_MIB:
        yield Finding(
            "memory",
            "warning",
            f"{free} of {total} MiB free",
            "sudo systemctl set-default multi-user.target && sudo reboot    # leaves out the desktop",
        )
    else:
        yield Finding("memory", "ok", f"{free} of {total} MiB free")
