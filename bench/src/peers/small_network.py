"""The small network of our measurement of overhead in PyTorch: three 3x3 convolutions, two poolings, one hidden layer; 28 px, grey, 10 classes."""
from torch import nn

FILTERS = (8, 16, 16)
HIDDEN = 40


def small_network():
    layers = []
    channels = 1
    for number, filters in enumerate(FILTERS):
        if number > 0:
            layers.append(nn.MaxPool2d(kernel_size=2))
        layers.append(nn.Conv2d(channels, filters, kernel_size=3))
        layers.append(nn.ReLU(inplace=True))
        channels = filters
    layers.append(nn.Flatten())
    layers.append(nn.Linear(channels * 3 * 3, HIDDEN))
    layers.append(nn.ReLU(inplace=True))
    layers.append(nn.Linear(HIDDEN, 10))
    return nn.Sequential(*layers)
