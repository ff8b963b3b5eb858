"""Golden samples: an input, and what an entry made of it when it was saved.

`golden.safetensors` holds segments of noise with the embedding and logits that a net gave for them,
or a pipeline's probabilities. Whoever has the entry can compute them again, and see whether it is
what it was. The input is drawn so that half precision holds it, and is kept in it, see `halves`.
"""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file
from safetensors.numpy import save as to_bytes

from mgr_cli.errors import ZooError
from mgr_cli.inputs import Arrays
from mgr_cli.zoo import weights
from mgr_cli.zoo.card import Card, WeightsFile
from mgr_cli.zoo.halves import compact, widened
from mgr_cli.zoo.tensors import one_line

FILE = "golden.safetensors"
BATCH = 2
LARGE_SEGMENT = 2**18  # values; of larger ones a single one is kept, 1 MB for 2^19 samples
TOLERANCE = 1e-4  # of logits of order 1: other CPUs and thread counts add up otherwise


def save(
    folder: Path, card: Card, model: "weights.Model", *, rng: np.random.Generator
) -> tuple[WeightsFile, Arrays]:
    """Draw an input and write it with what a model makes of it.

    Returns
    -------
    WeightsFile
        The file and its digest, for the card.
    Arrays
        The input, float32.
    """
    n_segments = 1 if card.inputs.n_values > LARGE_SEGMENT else BATCH
    drawn = tuple(
        widened(rng.standard_normal((n_segments, *shape), np.float32).astype(np.float16))
        for shape in card.inputs.shapes
    )
    sample = {
        name: values if name in weights.RESULTS else compact(values)
        for name, values in weights.sample(model, card, drawn).items()
    }
    (folder / FILE).write_bytes(to_bytes(sample))
    return weights.digested(folder / FILE), drawn


def inputs(folder: Path, card: Card) -> Arrays:
    """Read the input of an entry's golden sample, float32.

    Raises
    ------
    ZooError
        If it is missing, is not that of the card, or is none of this entry.
    """
    return _read(folder, card)[0]


def difference(folder: Path, card: Card, model: "weights.Model") -> float:
    """Return the largest difference of what a model makes of the input from what it once made.

    Raises
    ------
    ZooError
        As for `inputs`, and if it is above `TOLERANCE`, or no number.
    """
    drawn, golden = _read(folder, card)
    try:
        computed = weights.sample(model, card, drawn)
        results = computed.keys() & set(weights.RESULTS)
        # np.max, unlike max, keeps NaN.
        found = float(np.max([np.abs(computed[key] - golden[key]).max() for key in results]))
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise _refused(folder, card, error) from error
    if not found <= TOLERANCE:
        raise ZooError(
            f"{folder}: differs from its golden sample by {found:.1e}, more than {TOLERANCE:.0e}"
        )
    return found


def _read(folder: Path, card: Card) -> tuple[Arrays, dict[str, np.ndarray]]:
    """Read a sample: its input, and all of it by name."""
    path = weights.checked(folder, card.golden)
    try:
        golden = load_file(path)
        names = [weights.input_name(place) for place in range(len(card.eats))]
        return tuple(widened(golden[name]) for name in names), golden
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise _refused(folder, card, error) from error


def _refused(folder: Path, card: Card, error: Exception) -> ZooError:
    return ZooError(
        f"{folder / card.golden.file}: no golden sample of this net ({one_line(error)})"
    )
