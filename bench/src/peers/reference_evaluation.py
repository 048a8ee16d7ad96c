"""The VGG paper's ways of evaluating in plain PyTorch: reference_evaluation.py QUESTION.json TOLERANCE.

The question names checkpoints, decoded and rescaled pictures (bytes, RGB) and cases; each case names checkpoints, a protocol, scales,
mirror images or not, and what Lockstep answered: a probability for every picture and class, and its counts. Networks, crops, mirror
images, the dense network and all means are made here, from the paper's text. Exit code 1 when an answer is further off than TOLERANCE,
another class comes first, or a count differs.
"""
import json
import sys

import numpy
import torch
from torch.nn import functional

from state_file import read_state

question = json.load(open(sys.argv[1]))
tolerance = float(sys.argv[2])
layers, side = question["layers"], question["inputSize"]
labels = torch.tensor(question["labels"])
torch.set_num_threads(1)


def picture_of(entry, preprocessing):
    """[1, 3, height, width], normalised in float64 and rounded once."""
    count = entry["height"] * entry["width"] * 3
    pixels = numpy.fromfile(question["pixels"], dtype=numpy.uint8, count=count, offset=entry["offset"])
    values = torch.from_numpy(pixels).double().reshape(entry["height"], entry["width"], 3)
    values = values - torch.tensor(preprocessing["mean"], dtype=torch.float64)
    if preprocessing["normalize"] == "meanAndStd":
        values = values / torch.tensor(preprocessing["std"], dtype=torch.float64)
    return values.float().permute(2, 0, 1).unsqueeze(0)


def features_of(state, images):
    """Everything before the flattening."""
    values = images
    for layer in layers:
        name = layer["name"]
        if layer["type"] == "convolution":
            kernel = state[name + "/kernel"].permute(3, 2, 0, 1)
            values = functional.relu(functional.conv2d(values, kernel, state[name + "/bias"], padding="same"))
        elif layer["type"] == "maxPooling":
            values = functional.max_pool2d(values, layer["size"], layer["stride"])
        elif layer["type"] == "flatten":
            return values
        else:
            raise SystemExit(f"the reference knows no {layer['type']}")


def head_of():
    return [layer for layer in layers if layer["type"] == "dense"]


def plain_scores(state, crops):
    values = features_of(state, crops).permute(0, 2, 3, 1).flatten(1)
    for layer in head_of():
        values = values @ state[layer["name"] + "/kernel"] + state[layer["name"] + "/bias"]
        values = functional.relu(values) if layer["activation"] == "relu" else values
    return values


def dense_scores(state, image):
    """The fully connected layers as convolutions: the first as large as the map of a crop, the others 1x1; the score map averaged."""
    values = features_of(state, image)
    size = side // 2 ** sum(layer["type"] == "maxPooling" for layer in layers)
    for layer in head_of():
        kernel = state[layer["name"] + "/kernel"]
        kernel = kernel.reshape(size, size, -1, kernel.shape[1]).permute(3, 2, 0, 1)
        values = functional.conv2d(values, kernel, state[layer["name"] + "/bias"])
        values = functional.relu(values) if layer["activation"] == "relu" else values
        size = 1
    return values.mean(dim=(2, 3))


def crop(image, top, left):
    return image[:, :, top : top + side, left : left + side]


def probabilities(state, preprocessing, number, case):
    """Soft-max of one picture by one network."""
    parts = []
    for what in case["protocol"].split("+"):
        scales = []
        for scale in case["scales"]:
            image = picture_of(question["pictures"][str(scale)][number], preprocessing)
            height, width = image.shape[2] - side, image.shape[3] - side
            mirrored = image.flip(3)
            if what == "dense":
                scores = [dense_scores(state, image)] + ([dense_scores(state, mirrored)] if case["flip"] else [])
                scales.append(torch.cat(scores).softmax(1).mean(0))
            elif what == "center":
                middle = crop(image, height // 2, width // 2)
                crops = [middle] + ([middle.flip(3)] if case["flip"] else [])
                scales.append(plain_scores(state, torch.cat(crops)).softmax(1).mean(0))
            else:
                crops = [crop(image, height * row // 4, width * column // 4) for row in range(5) for column in range(5)]
                crops = torch.cat(crops)
                scales.append(plain_scores(state, torch.cat([crops, crops.flip(3)])).softmax(1).mean(0))
        parts.append(torch.stack(scales).mean(0))
    return torch.stack(parts).mean(0)


states = [(read_state(checkpoint["path"]), checkpoint["preprocessing"]) for checkpoint in question["checkpoints"]]
print(f"PyTorch {torch.__version__}, float32; {len(labels)} pictures, input {side}")
print(f"{'case':<60} {'largest difference':>18} {'first choices':>14} {'top-1':>12} {'top-5':>12} {'loss':>9} {'of loss':>8}")
holds = True
with torch.no_grad():
    for case in question["cases"]:
        answer = torch.stack(
            [torch.stack([probabilities(*states[which], number, case) for which in case["checkpoints"]]).mean(0) for number in range(len(labels))]
        ).double()
        own = torch.tensor(case["probabilities"], dtype=torch.float64)
        difference = (own - answer).abs().max().item()
        same = (own.argmax(1) == answer.argmax(1)).sum().item()
        ranks = (answer > answer.gather(1, labels[:, None])).sum(1)
        top1, top5 = (ranks < 1).sum().item(), (ranks < 5).sum().item()
        loss = -answer.gather(1, labels[:, None]).log().mean().item()
        of_loss = abs(case["loss"] - loss)
        confusion = torch.zeros_like(torch.tensor(case["confusion"]))
        for label, seen in zip(labels, answer.argmax(1)):
            confusion[label, seen] += 1
        right = same == len(labels) and top1 == case["correctTop1"] and top5 == case["correctTop5"]
        right = right and confusion.tolist() == case["confusion"] and difference <= tolerance and of_loss <= tolerance
        holds = holds and right
        counts = f"{case['correctTop1']:>6}/{top1:<5} {case['correctTop5']:>6}/{top5:<5}"
        print(f"{case['name']:<60} {difference:>18.1e} {same:>6} of {len(labels):<4} {counts} {loss:>9.5f} {of_loss:>8.1e}   {'holds' if right else 'DOES NOT HOLD'}", flush=True)
print(f"{'every' if holds else 'NOT every'} case: the same first choices, counts and confusion matrix, probabilities and loss to {tolerance:g}")
sys.exit(0 if holds else 1)
