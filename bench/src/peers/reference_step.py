"""Every step of a training again, one at a time, in PyTorch: reference_step.py TRAJECTORY.json TOLERANCE FACTOR.

From the training's own weights and velocity before a step, and the very pictures it saw, float64 and float32 each compute the gradient
and the update; the training's own state after the step is held against float64. Tensors keep the training's layout (kernels HWIO,
dense in x out, flattened rows first), which autograd sees through a permutation, so gradients come out in it too.
Exit code 1 when a tensor's relative L2 error is above both TOLERANCE and FACTOR x that of PyTorch's float32.
"flips" counts the ReLU units and pooling windows that float32 decides otherwise than float64: each moves a whole unit's gradient.
"""
import json
import sys

import torch
from torch.nn import functional

from state_file import read_state

trajectory = json.load(open(sys.argv[1]))
tolerance, factor = float(sys.argv[2]), float(sys.argv[3])
layers, entries = trajectory["layers"], trajectory["entries"]
momentum, decay = trajectory["momentum"], trajectory["weightDecay"]
torch.set_num_threads(1)


def logits_of(parameters, images):
    """The network's outputs, and every decision on the way: units that ReLU lets pass, places that pooling takes."""
    values, decisions = images.permute(0, 3, 1, 2), []
    for layer in layers:
        kind, name = layer["type"], layer["name"]
        if kind == "convolution":
            kernel, bias = parameters[name + "/kernel"], parameters[name + "/bias"]
            values = functional.conv2d(values, kernel.permute(3, 2, 0, 1), bias, stride=layer["stride"], padding=layer["padding"])
        elif kind == "maxPooling":
            values, places = functional.max_pool2d(values, layer["size"], layer["stride"], return_indices=True)
            # Where all of a window is zero, every place is as good and none gets a gradient.
            decisions.append(torch.where(values > 0, places, -1))
        elif kind == "flatten":
            values = values.permute(0, 2, 3, 1).flatten(1)
        elif kind == "dense":
            values = values @ parameters[name + "/kernel"] + parameters[name + "/bias"]
        else:
            raise SystemExit(f"the reference knows no {kind}")
        if layer.get("activation") == "relu":
            values = functional.relu(values)
            decisions.append(values > 0)
    return values, decisions


def step_in(dtype, state, images, labels, rate):
    """Loss; by name gradient, velocity and weights after the step; decisions. Each operation in `dtype`."""
    parameters = {entry["name"]: state[entry["name"]].to(dtype, copy=True).requires_grad_() for entry in entries}
    logits, decisions = logits_of(parameters, images.to(dtype))
    loss = functional.cross_entropy(logits, labels)
    loss.backward()
    result = {"gradient": {}, "velocity": {}, "weights": {}}
    for entry in entries:
        name = entry["name"]
        weights, gradient = parameters[name].detach(), parameters[name].grad
        decayed = gradient + decay * weights if entry["kind"] == "kernel" else gradient
        velocity = momentum * state["velocity/" + name].to(dtype) - rate * decayed
        result["gradient"][name], result["velocity"][name], result["weights"][name] = gradient, velocity, weights + velocity
    return loss.item(), result, decisions


def own_step(before, after, rate):
    """What the training did: its gradient follows from both velocities, g = (momentum v - v') / rate - decay w, in float64."""
    result = {"gradient": {}, "velocity": {}, "weights": {}}
    for entry in entries:
        name = entry["name"]
        old, new = before["velocity/" + name].double(), after["velocity/" + name].double()
        decayed = (momentum * old - new) / rate
        result["gradient"][name] = decayed - decay * before[name].double() if entry["kind"] == "kernel" else decayed
        result["velocity"][name], result["weights"][name] = new, after[name].double()
    return result


def relative_error(values, reference):
    norm = torch.linalg.vector_norm(reference).item()
    distance = torch.linalg.vector_norm(values.double() - reference).item()
    return distance / norm if norm > 0 else distance


def worst_of(own, single, reference, kind):
    """(name, own error, float32's error, holds) of the tensor that comes nearest to its limit."""
    rows = []
    for entry in entries:
        name = entry["name"]
        error = relative_error(own[kind][name], reference[kind][name])
        peer = relative_error(single[kind][name], reference[kind][name])
        rows.append((error / max(tolerance, factor * peer), name, error, peer))
    share, name, error, peer = max(rows)
    return name, error, peer, share <= 1


def read_batch(step):
    shape = trajectory["batchShape"]
    count = shape[0] * shape[1] * shape[2] * shape[3]
    images = torch.from_file(trajectory["images"][step], size=count, dtype=torch.float32).reshape(shape)
    labels = torch.from_file(trajectory["labels"][step], size=shape[0], dtype=torch.int32).long()
    return images, labels


print(f"PyTorch {torch.__version__}, {sum(torch.Size(entry['shape']).numel() for entry in entries)} parameters, batch {trajectory['batchShape']}")
print(f"{'step':>4} {'rate':>7} {'loss':>8} {'of loss':>8} {'flips':>5}   {'worst gradient':<22} {'own':>8} {'float32':>8}   {'velocity':>8} {'float32':>8}   {'weights':>8} {'float32':>8}")
holds, states = True, trajectory["states"]
largest = {"gradient": 0.0, "velocity": 0.0, "weights": 0.0, "loss": 0.0}
before = read_state(states[0])
for step in range(len(states) - 1):
    after, rate = read_state(states[step + 1]), trajectory["rates"][step]
    images, labels = read_batch(step)
    loss, reference, exact = step_in(torch.float64, before, images, labels, rate)
    loss32, single, rounded = step_in(torch.float32, before, images, labels, rate)
    flips = sum((one != other).sum().item() for one, other in zip(exact, rounded))
    own = own_step(before, after, rate)
    of_loss, of_loss32 = (abs(value - loss) / abs(loss) for value in (trajectory["losses"][step], loss32))
    rows = {kind: worst_of(own, single, reference, kind) for kind in ("gradient", "velocity", "weights")}
    step_holds = all(row[3] for row in rows.values()) and of_loss <= max(tolerance, factor * of_loss32)
    holds = holds and step_holds
    largest["loss"] = max(largest["loss"], of_loss)
    for kind, row in rows.items():
        largest[kind] = max(largest[kind], row[1])
    errors = "   ".join(f"{rows[kind][1]:8.1e} {rows[kind][2]:8.1e}" for kind in ("velocity", "weights"))
    name, error, peer, _ = rows["gradient"]
    print(f"{step:>4} {rate:7.4f} {loss:8.5f} {of_loss:8.1e} {flips:5}   {name:<22} {error:8.1e} {peer:8.1e}   {errors}   {'holds' if step_holds else 'DOES NOT HOLD'}", flush=True)
    before = after
print("largest errors: " + ", ".join(f"{kind} {value:.1e}" for kind, value in largest.items()))
print(f"{'every' if holds else 'NOT every'} tensor of every step within {tolerance:g}, or {factor:g} x the error of float32")
sys.exit(0 if holds else 1)
