"""The VGG networks of Simonyan and Zisserman 2014, table 1, in PyTorch: the same layers, and so the same number of parameters, at any input size."""
from torch import nn

BLOCKS = {
    "vgg-a": (1, 1, 2, 2, 2),
    "vgg-b": (2, 2, 2, 2, 2),
    "vgg-d": (2, 2, 3, 3, 3),
    "vgg-e": (2, 2, 4, 4, 4),
}
WIDTHS = (64, 128, 256, 512, 512)


def vgg_network(name, input_size, classes=1000, fully_connected=(4096, 4096)):
    """Five blocks of 3x3 convolutions with a 2x2 maximum pooling after each, then the dense layers; no dropout."""
    layers = []
    channels = 3
    for depth, width in zip(BLOCKS[name], WIDTHS):
        for _ in range(depth):
            layers.append(nn.Conv2d(channels, width, kernel_size=3, padding=1))
            layers.append(nn.ReLU(inplace=True))
            channels = width
        layers.append(nn.MaxPool2d(kernel_size=2))
    layers.append(nn.Flatten())
    features = channels * (input_size // 2 ** len(WIDTHS)) ** 2
    for units in fully_connected:
        layers.append(nn.Linear(features, units))
        layers.append(nn.ReLU(inplace=True))
        features = units
    layers.append(nn.Linear(features, classes))
    return nn.Sequential(*layers)
