"""The little SVG that the report draws: escaped elements, scales and ticks. Colours are CSS variables of the page."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape


def tag(name: str, content: str = "", /, **attributes: object) -> str:
    """An element. Attributes are escaped, `_` in their names is `-` and a trailing one is dropped; content is markup.

    >>> tag("rect", x=1, class_="a&b")
    '<rect x="1" class="a&amp;b"/>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_number(value), quote=True)}"'
        for key, value in attributes.items()
    )
    return f"<{name}{written}>{content}</{name}>" if content else f"<{name}{written}/>"


def text(x: float, y: float, words: str, /, **attributes: object) -> str:
    """A text element; the words are escaped."""
    return tag("text", escape(words) or " ", x=x, y=y, **attributes)


def figure(width: float, height: float, label: str, parts: list[str]) -> str:
    """A chart that scales with the page; `label` is what a screen reader says."""
    return tag("svg", "".join(parts), viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=label, class_="chart")


@dataclass(frozen=True)
class Scale:
    """Values low…high onto pixels start…end, linear or logarithmic (then both values are above 0)."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The value's pixel; values outside are drawn at the edge."""
        clipped = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(clipped / self.low) / math.log(self.high / self.low)
        else:
            share = (clipped - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, about: int = 5) -> list[float]:
        """Round values within the scale: 1, 2, 5 × a power of ten as steps, or as values when logarithmic."""
        if not self.log:
            return _linear_ticks(self.low, self.high, about)
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        ticks = [m * 10.0**d for d in decades for m in (1, 2, 5) if self.low <= m * 10.0**d <= self.high]
        return ticks if len(ticks) >= 2 else _linear_ticks(self.low, self.high, about)


def padded(values: list[float], share: float = 0.08) -> tuple[float, float]:
    """A range around the values with some air; never empty.

    >>> padded([1.0, 2.0], 0.5)
    (0.5, 2.5)
    """
    low, high = min(values), max(values)
    air = (high - low) * share or abs(high) * share or 1.0
    return low - air, high + air


def log_padded(values: list[float]) -> tuple[float, float]:
    """The same for a logarithmic scale."""
    low, high = padded([math.log(max(v, 1e-9)) for v in values], 0.12)
    return math.exp(low), math.exp(high)


def _linear_ticks(low: float, high: float, about: int) -> list[float]:
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
    first = math.ceil(low / step)
    return [round(i * step, 12) for i in range(first, math.floor(high / step) + 1)]


def _number(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
