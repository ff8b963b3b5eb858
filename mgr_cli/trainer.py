"""The Lightning trainer: on which devices, in which precision, who is told, what is saved."""

import ctypes
import logging
import pickle
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning as L
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.loggers import Logger

from mgr_cli.config import Device, Precision, Progress, Recipe
from mgr_cli.errors import TrainingError
from mgr_cli.files import replacing
from mgr_cli.prediction import chosen_device

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # of malloc.h
LIGHTNINGS = {"float32": "32", "bfloat16": "bf16-mixed"}  # what it calls precisions
NATIVE_BFLOAT16 = ("avx512_bf16", "amx_bf16")  # on other CPUs it is emulated, and slower


@dataclass(frozen=True)
class Machine:
    """What a run is computed on; it changes the time it takes, and no more than roundings.

    Attributes
    ----------
    device : {"auto", "cpu", "cuda"}
        Auto takes a GPU if there is one.
    devices : int
        GPUs of a machine, or processes where they are CPUs. Each takes a share of every batch:
        together they see what one would. Norms count their own shares, and masks are drawn
        apart.
    nodes : int
        Machines; on each the same command is started, see the README.
    compile : bool
        Whether the net is compiled by `torch.compile`, which takes a minute and a C++ compiler.
    precision : {"auto", "float32", "bfloat16"}
        In which most products are computed; auto takes what is fastest, see `fastest_precision`,
        and so differs from one machine to another.
    """

    device: Device = "auto"
    devices: int = 1
    nodes: int = 1
    compile: bool = False
    precision: Precision = "auto"


def make(
    recipe: Recipe,
    machine: Machine,
    *,
    callbacks: Sequence[Callback],
    logger: Logger | None = None,
    n_batches: int | None = None,
) -> L.Trainer:
    """Make a trainer that stops early, says nothing, and stores nothing by itself.

    Parameters
    ----------
    recipe : Recipe
        Its epochs, patience and clipping are used.
    machine : Machine
        What to train on.
    callbacks : sequence of Callback
        What else is to be called.
    logger : Logger, optional
        Who keeps the figures of each epoch.
    n_batches : int, optional
        Of an epoch's training, and of its validation, at the most.
    """
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    chosen = chosen_device(machine.device)
    precision = LIGHTNINGS.get(machine.precision) or fastest_precision(chosen)
    return L.Trainer(
        max_epochs=recipe.epochs,
        accelerator=chosen,
        devices=machine.devices,
        num_nodes=machine.nodes,
        strategy="ddp" if machine.devices * machine.nodes > 1 else "auto",
        use_distributed_sampler=False,  # `batches.Shares` keeps the batches of one
        precision=precision,  # type: ignore[arg-type]
        gradient_clip_val=recipe.clip or None,
        callbacks=[*_early_stopping(recipe), *callbacks],
        default_root_dir=Path.cwd(),
        num_sanity_val_steps=0,
        logger=logger or False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_train_batches=n_batches,
        limit_val_batches=n_batches,
    )


def _early_stopping(recipe: Recipe) -> list[EarlyStopping]:
    if recipe.monitor == "none":
        return []
    return [
        EarlyStopping(
            monitor=recipe.monitor,
            mode="max" if recipe.monitor == "valid_accuracy" else "min",
            patience=recipe.patience,
            check_finite=False,  # the task tells of it, and where
        )
    ]


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, instead of giving it back to the system.

    A step on a CPU makes and frees maps of many megabytes. glibc gives each back at once, and the
    next step's first touch of every page of it is a fault: a third to a half of a step's time.
    It holds for the whole process until its end, so it is for programs to call, not for libraries.

    Returns
    -------
    bool
        Whether the C library is one that can be asked.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # not glibc; TypeError is Windows'
        return False
    settings = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 2**31 - 1, M_TOP_PAD: 64 * 2**20}
    taken = [mallopt(option, value) == 1 for option, value in settings.items()]
    return all(taken)


def leads() -> bool:
    """Tell whether this process speaks for all that train together."""
    return getattr(rank_zero_only, "rank", 0) == 0


def fastest_precision(device: str) -> str:
    """Name Lightning's precision that a device computes fastest: bfloat16 where native.

    Parameters
    ----------
    device : {"cpu", "cuda"}
        On a CPU without AVX-512-BF16 or AMX, bfloat16 is emulated and several times
        slower than float32.
    """
    if device == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32"
    capable = torch.cpu.get_capabilities()
    return "bf16-mixed" if any(capable.get(name) for name in NATIVE_BFLOAT16) else "32"


class Steps(Callback):
    """Tells somebody of each step."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def on_train_batch_end(self, trainer: L.Trainer, *_: object) -> None:
        """Count the step."""
        total = int(trainer.num_training_batches) * int(trainer.max_epochs or 1)
        self._progress(trainer.global_step, total, f"epoch {trainer.current_epoch + 1}")


class Checkpoints(Callback):
    """Saves the run between any two epochs."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Save what the epochs before this one have brought."""
        if not trainer.current_epoch or getattr(module, "is_resumed"):  # noqa: B009
            return
        if not leads():
            trainer.save_checkpoint(self._path)  # waits for who writes
            return
        try:
            with replacing(self._path) as part:
                trainer.save_checkpoint(part)
        except OSError as error:  # which names a temporary file of Lightning's
            raise OSError(error.errno, error.strerror, str(self._path)) from error


def told(error: RuntimeError) -> Exception:
    """Return what a user can do something about as a `TrainingError`, all else as it is."""
    said = str(error).strip().splitlines()[0] if str(error).strip() else ""
    if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
        return TrainingError("memory does not suffice; try a smaller --batch-size")
    if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
        return TrainingError(f"the net cannot be compiled ({said}); leave --compile out")
    return error


def check_saved(path: Path) -> None:
    """Refuse what is no checkpoint, or holds more than tensors and plain values.

    The file is our own, from the user's zoo; should it not be, nothing in it is run.

    Raises
    ------
    TrainingError
        If it cannot be taken up.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        said = " ".join(str(error).split())[:200]
        raise TrainingError(
            f"{path}: cannot be taken up ({said}); leave --resume out to begin anew"
        ) from error
