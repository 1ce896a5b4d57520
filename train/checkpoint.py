"""What a run keeps from epoch to epoch: the files it goes on from after an interruption, and its history."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..edge_runtime.atomic import write_atomically
from ..edge_runtime.errors import EdgeEmotionError

MODEL_FILE, LAST_FILE = "model.keras", "last.keras"
"""The best epoch's model and the last one's."""
RESUME_FILE, HISTORY_FILE = "resume.npz", "history.csv"


@dataclass(frozen=True)
class EpochResult:
    """One row of history.csv. Losses are cross-entropies in nats; val_* are of the averaged float32 weights.

    loss and accuracy are of augmented images and what is learnt of them, while the weights change: loss with label
    smoothing, class weights, teachers, votes and mixup, so that it does not compare with val_loss; accuracy is
    agreement with the most probable class of such a target, which need not be the label. val_loss and val_accuracy
    are against the labels alone.
    """

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    images_per_s: float
    learning_rate: float

    @property
    def rank(self) -> tuple[float, float]:
        """The higher, the better: by validation accuracy, and where that is the same by a lower loss."""
        return self.val_accuracy, -self.val_loss

    def line(self, epochs: int) -> str:
        """One line for the terminal."""
        return (
            f"epoch {self.epoch:>3}/{epochs}  loss {self.loss:.4f}  accuracy {self.accuracy:.4f}  "
            f"val_loss {self.val_loss:.4f}  val_accuracy {self.val_accuracy:.4f}  {self.images_per_s:.0f} images/s"
        )


@dataclass
class Checkpoint:
    """A run after its last finished epoch: history, the network's weights, and the optimiser's variables.

    weights are in `get_weights` order, raw and not averaged; the averages are among the optimiser's variables. The
    random states of dropout follow the weights.
    """

    history: list[EpochResult] = field(default_factory=list)
    weights: list[NDArray[Any]] = field(default_factory=list)
    optimizer: list[NDArray[Any]] = field(default_factory=list)

    @property
    def best(self) -> EpochResult | None:
        """The best epoch until now; None before the first."""
        return best_of(self.history)

    @classmethod
    def load(cls, out: Path) -> Checkpoint:
        """The state in a run folder. Raises EdgeEmotionError when it is missing, not whole, or another version's."""
        try:
            # numpy leaves a broken file open, so it is opened here
            with (out / RESUME_FILE).open("rb") as file, np.load(file, allow_pickle=False) as archive:
                state = cls([EpochResult(**row) for row in json.loads(str(archive["history"]))])
                for prefix, target in (("weight", state.weights), ("optimizer", state.optimizer)):
                    count = sum(name.startswith(prefix) for name in archive.files)
                    target.extend(archive[f"{prefix}{i}"] for i in range(count))
                return state
        except OSError as error:
            raise EdgeEmotionError(f"nothing to resume in {out}: {RESUME_FILE}: {error.strerror or error}") from error
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise EdgeEmotionError(f"nothing to resume in {out}: {RESUME_FILE} is not whole: {error}") from error
        except TypeError as error:  # other columns
            raise EdgeEmotionError(f"{out} was trained by another version of edge-emotion: train anew") from error

    def save(self, out: Path) -> None:
        """Write the state, and the history for people beside it, each file whole or not at all."""
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {f"weight{i}": w for i, w in enumerate(self.weights)}
        arrays |= {f"optimizer{i}": v for i, v in enumerate(self.optimizer)}
        history = json.dumps([row.__dict__ for row in self.history])
        np.savez(buffer, history=np.array(history), **arrays)
        write_atomically(out / RESUME_FILE, buffer.getvalue())
        write_atomically(out / HISTORY_FILE, self._csv().encode())

    def _csv(self) -> str:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, list(self.history[0].__dict__))
        writer.writeheader()
        for row in self.history:
            writer.writerow({k: v if isinstance(v, int) else f"{v:.6g}" for k, v in row.__dict__.items()})
        return buffer.getvalue()


def best_of(history: Sequence[EpochResult]) -> EpochResult | None:
    """The epoch of the highest rank, the first where several have it; None where there is none."""
    return max(history, key=lambda row: row.rank, default=None)


def read_history(out: Path) -> list[EpochResult]:
    """The finished epochs of a run folder. Raises EdgeEmotionError when there is no state in it."""
    return Checkpoint.load(out).history
