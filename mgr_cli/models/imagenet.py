"""Nets of torchvision that were trained to tell things apart in photographs, as borrowed eyes.

A log-mel spectrogram is a picture, and what a net has learnt to see in a million photographs,
edges, textures, repetitions, is there too. The net is cut behind an inner layer, frozen, and what
comes out of it is one row of features a segment, for scikit-learn to judge.

The layers have the names of Keras, as in the paper and in seed 002; torchvision's differ:

========  ====================  ======  =====================================================
net       cut                   values  what
========  ====================  ======  =====================================================
vgg16     block5_pool           25,088  7 × 7 × 512, behind the last pooling
vgg16     fc1, fc2               4,096  behind the first and the second dense layer
resnet50  avg_pool               2,048  global mean of the last block (the seed counts 1,000,
                                        which are the classes behind it)
resnet50  conv5_block1_2_relu   25,088  7 × 7 × 512, inside the first block of the last stage
========  ====================  ======  =====================================================

What lies behind a cut is thrown away: 14,714,688 numbers are left of VGG16 at block5_pool, and
11,477,888 of ResNet-50 at conv5_block1_2_relu as Keras counts, with the biases of the convolutions
that torchvision's net does not have and the running moments of the batch norms.

References
----------
K. Simonyan and A. Zisserman, "Very deep convolutional networks for large-scale image recognition",
ICLR 2015. K. He et al., "Deep residual learning for image recognition", CVPR 2016; torchvision
strides in the 3 × 3 convolution of a block, where the paper does in the first.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import get_model
from torchvision.models.feature_extraction import create_feature_extractor

SIDE = 224  # pixels, of the photographs
MEAN = (0.485, 0.456, 0.406)  # of ImageNet's photographs in [0, 1], red, green and blue
STD = (0.229, 0.224, 0.225)

NODES = {
    "vgg16": {"block5_pool": "features.30", "fc1": "classifier.1", "fc2": "classifier.4"},
    "resnet50": {"avg_pool": "flatten", "conv5_block1_2_relu": "layer4.0.relu_1"},
}
"""Where the nets can be cut: torchvision's name of each layer."""


def vgg16(*, cut: str) -> nn.Module:
    """Make VGG16 up to a layer, see the table above, with weights of torch's generator.

    Raises
    ------
    ValueError
        If there is no such layer to cut it behind, as of `resnet50`.
    """
    return _Eye("vgg16", cut)


def resnet50(*, cut: str) -> nn.Module:
    """Make ResNet-50 up to a layer; see `vgg16`."""
    return _Eye("resnet50", cut)


def pictures(levels: Tensor) -> Tensor:
    """Make photographs of log-mels, (batch, n_mels, n_frames) → (batch, 3, SIDE, SIDE).

    Each is scaled to its own range, turned so that high frequencies are at the top, and resized
    with antialiasing. The three colours are alike but for ImageNet's mean and deviation. One that
    does not change at all is black.
    """
    low = levels.amin(dim=(1, 2), keepdim=True)
    span = levels.amax(dim=(1, 2), keepdim=True) - low
    grey = ((levels - low) / torch.where(span > 0, span, 1.0)).flip(1)[:, None]
    resized = F.interpolate(grey, (SIDE, SIDE), mode="bilinear", antialias=True)
    mean, std = (torch.tensor(each, device=levels.device)[:, None, None] for each in (MEAN, STD))
    return (resized - mean) / std


class _Eye(nn.Module):
    def __init__(self, name: str, cut: str) -> None:
        super().__init__()
        nodes = NODES[name]
        if cut not in nodes:
            raise ValueError(f"cut is {cut!r}, expected one of {', '.join(nodes)}")
        self.net = create_feature_extractor(get_model(name, weights=None).eval(), {nodes[cut]: "x"})

    def forward(self, levels: Tensor) -> Tensor:
        """Map (batch, n_mels, n_frames) to (batch, n_values)."""
        seen: Tensor = self.net(pictures(levels))["x"]
        return seen.flatten(1)
