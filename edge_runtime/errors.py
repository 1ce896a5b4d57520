"""The error tree.

EdgeEmotionError            exit code 1: one clear line, nothing lost
├── DatasetError            the images, their folders or their labels
├── ImageError              one image that cannot be read
├── ModelError              a model file, or what it says of itself
├── RuntimeMissingError     an optional package that is not installed; the message names the extra
├── OptionError             exit code 2: the value of an option is not one that exists
├── DeviceError             a camera, an accelerator, a detector or a board
├── OutputError             where results go: a file that cannot be written, a port that is taken, a broker that refuses
└── ContractError           exit code 3: a contract or gate is not met; what was made is kept

A message says what was wrong, what was got, and how to mend it, in one line.
"""

from __future__ import annotations

INTERRUPTED = 130
"""Exit code of a command that Ctrl-C ended, as shells have it: 128 and the number of SIGINT."""


class EdgeEmotionError(Exception):
    """Root of every error this package raises on purpose."""

    exit_code = 1


class DatasetError(EdgeEmotionError):
    """The dataset cannot serve the purpose: missing, empty, one class only, unsafe archive."""


class ImageError(EdgeEmotionError):
    """An image cannot be read: missing, truncated, not an image."""


class ModelError(EdgeEmotionError):
    """A model file cannot be used: missing, another format, contradicting its metadata."""


class RuntimeMissingError(EdgeEmotionError):
    """A package that this command needs is not installed."""

    @classmethod
    def of_extra(cls, extra: str, why: str) -> RuntimeMissingError:
        """The error of a package that one of our extras brings. why: what needs it, or what is missing."""
        return cls(f"{why}: pip install '.[{extra}]' in your clone")


class OptionError(EdgeEmotionError):
    """An option has a value that does not exist: an unknown class, preset, precision, backend."""

    exit_code = 2


class DeviceError(EdgeEmotionError):
    """A camera, accelerator, detector or board is missing or refuses."""


class OutputError(EdgeEmotionError):
    """Results cannot go where they should: the disk is full, the port is taken, the broker refuses."""


class ContractError(EdgeEmotionError):
    """A stated limit is not met (accuracy drop, deadline, baseline)."""

    exit_code = 3
