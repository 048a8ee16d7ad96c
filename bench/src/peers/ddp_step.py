"""One process of a DistributedDataParallel training over gloo: ddp_step.py NETWORK BATCH INPUT_SIZE RANK WORLD MEETING_FILE.

One compute thread, no dropout, SGD with momentum and weight decay. Every line of its input is answered with a line; all ranks must be asked
the same. parameters: how many there are, so that nobody compares different networks. ddp N: the median milliseconds of N whole steps.
alone N: the same network in the same process without the others, so that what they cost can be told from what computing costs.
"""
import sys
import time
from statistics import median

import torch
import torch.distributed as dist
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from small_network import small_network
from vgg_network import vgg_network

name, meeting = sys.argv[1], sys.argv[6]
batch, input_size, rank, world = (int(word) for word in sys.argv[2:6])
torch.set_num_threads(1)
torch.manual_seed(1)
small = name == "small-cnn"
network = small_network() if small else vgg_network(name, input_size)
images = torch.randn(batch, 1 if small else 3, input_size, input_size)
labels = torch.arange(batch) % (10 if small else 1000)
dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=world)
together = DistributedDataParallel(network, gradient_as_bucket_view=True)
optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)


def step_ms(model):
    start = time.perf_counter()
    loss = cross_entropy(model(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return (time.perf_counter() - start) * 1e3


for line in sys.stdin:
    question, *numbers = line.split()
    if question == "parameters":
        print(sum(parameter.numel() for parameter in network.parameters()), flush=True)
    else:
        model = together if question == "ddp" else network
        print(median(step_ms(model) for _ in range(int(numbers[0]))), flush=True)
dist.destroy_process_group()
