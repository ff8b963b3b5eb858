import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mgr_cli.models.feedforward import Ffnn, ffnn, sizes

# Seed 002's table: units and parameters, of 518 columns and 8 classes.
PUBLISHED = {
    "512,512": 532_488,
    "512,256": 399_112,
    "256,256": 200_712,
    "256,64": 149_832,
    "128,64": 75_208,
    "64": 33_736,
    "128": 67_464,
    "256": 134_920,
    "512": 269_832,
}


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def build(**changes: Any) -> Ffnn:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = ffnn(**{"n_columns": 518, "n_classes": 10, **changes})
    return net.eval()


def count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(("layers", "expected"), PUBLISHED.items())
def test_every_net_of_the_seed_has_the_published_count(layers: str, expected: int) -> None:
    assert count(build(n_classes=8, layers=layers)) == expected


def test_default_is_the_best_net_of_the_seed() -> None:
    # Column "Param #" of the seed's summary, a row for each dense layer.
    linears = [layer for layer in build(n_classes=8).modules() if isinstance(layer, nn.Linear)]
    assert [count(layer) for layer in linears] == [265_728, 131_328, 2_056]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("512,256", (512, 256)),
        ("1", (1,)),
        (" 64 , 32,16 ,8 ", (64, 32, 16, 8)),
        ("4096,4096,4096,4096", (4_096,) * 4),
        ("10,100,1000", (10, 100, 1_000)),
    ],
)
def test_layers_are_read_from_text(text: str, expected: tuple[int, ...]) -> None:
    assert sizes(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ",",
        "512,",
        ",512",
        "512,,256",
        "512, ,256",
        "512 256",
        "512;256",
        "(512, 256)",
        "0",
        "512,0",
        "-1",
        "+64",
        "064",
        "4097",
        "64,9999",
        "10000",
        "1.0",
        "1e3",
        "1_000",
        "0x10",
        "64\n",
        "64\t,32",
        "64,\u00a032",  # a space that does not break
        "٦٤",  # 64 to int()
        "６４",
        "6٤",
        "²",
        "512,64\x00",
        "1,2,3,4,5",
        "9" * 5_000,  # int() refuses it in words of its own
        "9" * 10_000_000,
        "1," * 5_000_000,
        " " * 10_000_000,
    ],
    ids=lambda text: ascii(text[:12]),
)
def test_other_text_is_refused_in_one_short_line(text: str) -> None:
    with pytest.raises(ValueError, match="layers is ") as caught:
        ffnn(n_columns=518, n_classes=10, layers=text)
    message = str(caught.value)
    assert re.fullmatch("layers is .+, expected 1 to 4 whole numbers from 1 to 4096 .+", message)
    assert len(message) < 150
    assert message.isprintable()


def test_embedding_and_logits_are_what_numpy_makes_of_the_weights() -> None:
    net, x = build(n_columns=7, layers="5,4,3"), noise(6, 7)
    with torch.inference_mode():
        expected = x.double().numpy()
        *hidden, last = [layer for layer in net.modules() if isinstance(layer, nn.Linear)]
        for layer in hidden:
            weight, bias = layer.weight.double().numpy(), layer.bias.double().numpy()
            expected = np.maximum(expected @ weight.T + bias, 0)
        # Sums of at most eight float32 products near 1.
        np.testing.assert_allclose(net.embed(x).numpy(), expected, rtol=0, atol=1e-6)
        expected = expected @ last.weight.double().numpy().T + last.bias.double().numpy()
        np.testing.assert_allclose(net(x).numpy(), expected, rtol=0, atol=1e-6)
    assert expected.shape == (6, 10)


@pytest.mark.parametrize("layers", PUBLISHED)
def test_every_parameter_gets_a_gradient(layers: str) -> None:
    net = build(layers=layers).train()
    nn.functional.cross_entropy(net(noise(8, 518)), torch.arange(8)).backward()  # type: ignore[no-untyped-call]
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.any(), key


def test_every_column_is_heard() -> None:
    x = noise(4, 518).requires_grad_()
    build()(x).square().sum().backward()
    assert x.grad is not None
    assert x.grad.any(dim=0).all()


def test_rows_of_a_batch_do_not_hear_each_other() -> None:
    net, x = build(), noise(4, 518)
    others = torch.cat([x[:1], 10 * x[1:].flip(0)])
    with torch.inference_mode():
        assert torch.equal(net(x)[0], net(others)[0])
        assert not torch.equal(net(x)[1], net(others)[1])


def test_dropout_is_in_the_head_and_off_in_evaluation() -> None:
    net, x = build(dropout=0.6), noise(2, 518)
    assert [layer.p for layer in net.modules() if isinstance(layer, nn.Dropout)] == [0.6]
    with torch.inference_mode():
        assert torch.equal(net(x), net(x))
        net.train()
        assert torch.equal(net.embed(x), net.embed(x))
        assert not torch.equal(net(x), net(x))


def test_seed_has_no_dropout() -> None:
    net, x = build(), noise(2, 518)
    with torch.inference_mode():
        assert torch.equal(net.train()(x), net.eval()(x))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_columns": 0}, "n_columns is 0, outside 1 to 20000"),
        ({"n_columns": 20_001}, "n_columns is 20001, outside"),
        ({"dropout": 1.0}, "dropout is 1.0, outside"),
        ({"dropout": -0.1}, "dropout is -0.1, outside"),
    ],
)
def test_values_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**changes)


@pytest.mark.parametrize("n_columns", [1, 20_000])
def test_ends_of_the_range_of_columns_are_taken(n_columns: int) -> None:
    net = build(n_columns=n_columns, layers="2")
    assert count(net) == (n_columns * 2 + 2) + (2 * 10 + 10)
