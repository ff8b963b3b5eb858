"""The last layer, fitted anew where the rest of a net has come to rest.

With all other layers fixed, the last one is a multinomial logistic regression of the embeddings:
convex, with one optimum, which gradient descent in small steps comes near to but does not
reach. Where it is most of what a net learns, as in those of statistics, the rest of the way is
worth some points of accuracy.

References
----------
P. Kirichenko, P. Izmailov, A. G. Wilson, "Last layer re-training is sufficient for robustness to
spurious correlations", ICLR 2023, section 4.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from mgr_cli.data.crops import Batch
from mgr_cli.errors import TrainingError

MAX_VALUES = 2**28  # of all embeddings together, 1 GiB, and held twice while they are put together
MAX_ITERATIONS = 1_000


def last_layer(net: nn.Module) -> nn.Linear:
    """Return the layer that makes logits of embeddings.

    Raises
    ------
    TrainingError
        If that takes more than a linear layer.
    """
    head = getattr(net, "head", None)
    layers = list(head) if isinstance(head, nn.Sequential) else [head]
    *others, last = layers
    if not isinstance(last, nn.Linear) or any(not isinstance(each, nn.Dropout) for each in others):
        raise TrainingError(
            "refit is for nets whose last layer alone makes logits of their embeddings, not for "
            f"{type(net).__name__}; leave it out of the recipe"
        )
    return last


def refit(
    net: nn.Module,
    batches: Iterable[Batch],
    *,
    penalty: float,
    weights: Sequence[float] | None = None,
) -> None:
    """Give a net the last layer that is best on some segments.

    Parameters
    ----------
    net : nn.Module
        A `Classifier`, in evaluation mode, on the CPU. Its other layers stay as they are.
    batches : iterable
        Of the segments. Where their embeddings exceed `MAX_VALUES`, every second of each class is
        let go, again and again, so that those that stay are spread evenly, and none is without.
    penalty : float
        Half of it times the squared length of the weights is added to the mean loss of a segment.
    weights : sequence of float, optional
        Of each class; all alike unless given.
    """
    from sklearn.linear_model import LogisticRegression

    layer = last_layer(net)
    kept: list[list[np.ndarray]] = [[] for _ in range(layer.out_features)]
    seen, step = [0] * len(kept), 1
    with torch.inference_mode():
        for inputs, truth, _ in batches:
            for row, label in zip(_embed(net, inputs).numpy(), truth.tolist(), strict=True):
                if seen[label] % step == 0:
                    kept[label].append(row.copy())
                seen[label] += 1
            while sum(map(len, kept)) * layer.in_features > MAX_VALUES:
                kept, step = [rows[::2] for rows in kept], 2 * step
    x = np.stack([row for rows in kept for row in rows])
    y = np.repeat(np.arange(len(kept)), [len(rows) for rows in kept])
    shares = np.ones(len(y)) if weights is None else np.asarray(weights)[y]
    # Of two classes it has one logit, w, where ours are −w/2 and w/2: half as long, squared.
    cost = penalty * shares.sum() / (2 if layer.out_features == 2 else 1)
    model = LogisticRegression(C=1 / cost, max_iter=MAX_ITERATIONS, tol=1e-5)
    model.fit(x, y, sample_weight=shares)
    found, bias = model.coef_, model.intercept_
    if len(found) == 1:
        found, bias = np.concatenate([-found, found]) / 2, np.concatenate([-bias, bias]) / 2
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(found))
        layer.bias.copy_(torch.from_numpy(bias))


def _embed(net: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    found: Tensor = net.embed(*inputs)  # type: ignore[operator]
    return found.float()
