"""Where results go: one Protocol, one file per output."""

from .output import Output

__all__ = ["Output"]
