"""Answers each line of its input with the milliseconds of one training step: train_step.py NETWORK BATCH INPUT_SIZE THREADS gradient|sgd.

gradient: forward and backward. sgd: the update with momentum and weight decay too.
The first answer is the number of parameters, so that nobody compares different networks.
"""
import sys
import time

import torch
from torch.nn.functional import cross_entropy

from vgg_network import vgg_network

name, batch, input_size, threads, kind = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
torch.set_num_threads(threads)
torch.manual_seed(1)
network = vgg_network(name, input_size)
optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
images = torch.randn(batch, 3, input_size, input_size)
labels = torch.arange(batch) % 1000

sys.stdin.readline()
print(sum(parameter.numel() for parameter in network.parameters()), flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    optimizer.zero_grad()
    cross_entropy(network(images), labels).backward()
    if kind == "sgd":
        optimizer.step()
    print((time.perf_counter() - start) * 1e3, flush=True)
