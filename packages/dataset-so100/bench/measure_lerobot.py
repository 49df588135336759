"""Samples per second of LeRobot's own dataset and DataLoader over the files of dataset.bench.ts, random access.

    python measure_lerobot.py <dataset folder> [samples]
"""

import sys
import time

import av
import lerobot
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset

root = sys.argv[1]
samples = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
print(f"lerobot {lerobot.__version__}, torch {torch.__version__}, av {av.__version__}, {torch.get_num_threads()} threads")
for backend in ["pyav", "torchcodec"]:
    try:
        start = time.perf_counter()
        dataset = LeRobotDataset(
            "bench/set", root=root, video_backend=backend, delta_timestamps={"action": [step / 30 for step in range(50)]}
        )
        dataset[len(dataset) // 2]
        first = time.perf_counter() - start
    except Exception as error:  # noqa: BLE001 a back end that cannot run here is stated, not hidden
        print(f"{backend}: not run: {error!r:.300}")
        continue
    for workers in [0, 2]:
        sampler = torch.utils.data.RandomSampler(dataset, num_samples=samples + 64, generator=torch.Generator().manual_seed(1))
        loader = torch.utils.data.DataLoader(dataset, batch_size=8, sampler=sampler, num_workers=workers)
        count = 0
        for batch in loader:
            count += len(batch["index"])
            if count == 64:
                start = time.perf_counter()
        seconds = time.perf_counter() - start
        print(f"{backend}, {workers} workers: {(count - 64) / seconds:.1f} samples/s; first sample after {first:.2f} s")
