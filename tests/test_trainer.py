"""What is told of a machine that cannot do what is asked of it, and what compiling changes."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from mgr_cli import trainer, training
from mgr_cli.config import Precision
from mgr_cli.errors import TrainingError
from mgr_cli.trainer import Machine
from mgr_cli.training import Trained
from tests import tiny


def train(folder: Path, machine: Machine) -> Trained:
    return training.train(
        tiny.dataset(folder), tiny.ARCHITECTURE, recipe=replace(tiny.RECIPE, epochs=2, ema=0.5),
        hyperparameters=dict(tiny.NARROW), segments=tiny.SEGMENTS, machine=machine,
    )  # fmt: skip


def test_memory_that_does_not_suffice_is_told() -> None:
    for error in (
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    ):
        found = trainer.told(error)
        assert isinstance(found, TrainingError)
        assert "--batch-size" in str(found)


def test_errors_of_the_code_stay_what_they_are() -> None:
    error = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    assert trainer.told(error) is error


def test_net_that_cannot_be_compiled_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch._inductor.config as inductor

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    nothing = inductor.patch({"cpp.cxx": (None, "/nonexistent/compiler")})
    with nothing, pytest.raises(TrainingError, match=r"cannot be compiled .* leave") as raised:
        train(tmp_path / "data", Machine(device="cpu", compile=True))
    assert "\n" not in str(raised.value)


@pytest.mark.slow
def test_compiled_net_learns_the_same(tmp_path: Path) -> None:
    plain = train(tmp_path, Machine(device="cpu", precision="float32"))
    compiled = train(tmp_path, Machine(device="cpu", precision="float32", compile=True))
    assert list(plain.net.state_dict()) == list(compiled.net.state_dict())
    # Fused kernels round otherwise, and Adam divides by roots of small numbers.
    for one, other in zip(plain.history, compiled.history, strict=True):
        np.testing.assert_allclose(other.train_loss, one.train_loss, rtol=1e-3)
        np.testing.assert_allclose(other.valid_loss, one.valid_loss, rtol=1e-2)


@pytest.mark.parametrize("fastest", ["32", "bf16-mixed"])
def test_precision_is_the_fastest_or_the_one_that_is_wanted(
    fastest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "fastest_precision", lambda device: fastest)
    made = {
        wanted: trainer.make(tiny.RECIPE, Machine("cpu", precision=wanted), callbacks=[]).precision
        for wanted in get_args(Precision)
    }
    own = {"32": "32-true", "bf16-mixed": "bf16-mixed"}[fastest]
    assert made == {"auto": own, "float32": "32-true", "bfloat16": "bf16-mixed"}


def test_freed_memory_is_kept_where_the_c_library_can_be_asked(tmp_path: Path) -> None:
    # In a process of its own: it is for good. 36 MiB ten times are 9,216 pages each; up to 32 are
    # kept anyhow. The heap settles first: until its holes fit, up to eight allocations grow it.
    program = (
        "import resource, sys, torch\n"
        "kept = sys.argv[1] == 'kept'\n"
        "if kept: from mgr_cli import trainer; kept = trainer.keep_freed_memory()\n"
        "for _ in range(20): torch.ones(9 * 2**20)\n"
        "start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for _ in range(10): torch.ones(9 * 2**20)\n"
        "print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start)"
    )
    faults = {}
    for what in ("kept", "given back"):
        done = subprocess.run(
            [sys.executable, "-c", program, what], capture_output=True, text=True, check=True
        )
        can, count = done.stdout.split()
        faults[what] = int(count)
        if what == "kept" and can == "False":
            pytest.skip("not glibc, which is what can be asked")
    assert faults["kept"] < faults["given back"] / 10
