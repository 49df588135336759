"""Samples per second of LeRobot's own dataset and DataLoader, random access. Started by dataset.bench.ts; prints JSON.

    python measure_lerobot.py <dataset folder> <pyav|torchcodec> <workers> <samples>

A process for each measurement: torchcodec's decoders, opened before the workers are forked, break in them.
"""

import json
import resource
import sys
import time
import warnings

import av
import lerobot
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset

warnings.filterwarnings("ignore")
root, backend, workers, samples = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
WARM_UP = 64

start = time.perf_counter()
deltas = {"action": [step / 30 for step in range(50)]}
dataset = LeRobotDataset("bench/set", root=root, video_backend=backend, delta_timestamps=deltas)
first = None
if workers == 0:
    dataset[len(dataset) // 2]
    first = time.perf_counter() - start
sampler = torch.utils.data.RandomSampler(
    dataset, replacement=True, num_samples=samples + WARM_UP, generator=torch.Generator().manual_seed(1)
)
loader = torch.utils.data.DataLoader(dataset, batch_size=8, sampler=sampler, num_workers=workers)
count = 0
for batch in loader:
    count += len(batch["index"])
    if count == WARM_UP:
        start = time.perf_counter()
seconds = time.perf_counter() - start
try:
    import torchcodec

    torchcodec_version = torchcodec.__version__
except ImportError:
    torchcodec_version = None
print(
    json.dumps({
        "samplesPerSecond": (count - WARM_UP) / seconds,
        "firstSampleSeconds": first,
        "peakMegabytes": (
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        ) / 1024,
        "versions": {
            "lerobot": lerobot.__version__,
            "torch": torch.__version__,
            "av": av.__version__,
            "torchcodec": torchcodec_version,
        },
    })
)
