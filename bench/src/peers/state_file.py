"""The tensors of a safetensors file, read without a library, so that no mistake of ours could be shared."""
import json
import struct

import torch


def read_state(path):
    """Tensors of a safetensors file, by name, float32: weights, and velocity where there is one."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        body = bytearray(file.read())
    state = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        start, end = entry["data_offsets"]
        state[name] = torch.frombuffer(body[start:end], dtype=torch.float32).reshape(entry["shape"])
    return state
