"""gloo's all-reduce of one float32 vector, by one of two processes: all_reduce.py RANK PORT ELEMENTS.

Answers each line of its input with the milliseconds of one all-reduce, counted from when both are there. The first answer is the number of
elements.
"""
import os
import sys
import time

import torch
import torch.distributed as dist

rank, port, elements = sys.argv[1], sys.argv[2], int(sys.argv[3])
os.environ.update({"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port})
torch.set_num_threads(1)
dist.init_process_group("gloo", rank=int(rank), world_size=2)
vector = torch.full((elements,), 1e-4)

sys.stdin.readline()
print(vector.numel(), flush=True)
for _ in sys.stdin:
    dist.barrier()
    start = time.perf_counter()
    dist.all_reduce(vector)
    print((time.perf_counter() - start) * 1e3, flush=True)
    # It stays the same number: a thousand doublings would make it infinite, and infinities may be faster.
    vector.fill_(1e-4)
