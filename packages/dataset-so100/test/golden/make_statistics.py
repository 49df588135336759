"""Writes statistics.json, which episode-stats.test.ts compares with: what the real LeRobot computes (lerobot 0.6.1,
numpy 2.5.5; 0.4.4 gives the same of all but `running`).

A development tool: python make_statistics.py > statistics.json
"""

import json

import numpy as np
from lerobot.datasets.compute_stats import RunningQuantileStats, aggregate_stats, get_feature_stats, sample_indices

random = np.random.default_rng(7)


def listed(statistics):
    return {name: np.asarray(value).reshape(-1).tolist() for name, value in statistics.items()}


vectors = [random.normal(size=(37, 3)) * [1, 40, 0.01] + [0, 300, -5] for _ in range(3)]
vectors[1][:, 2] = 2.5  # a joint that never moves
one = random.normal(size=(1, 2))
images = random.integers(0, 256, size=(4, 3, 6, 8)) // [[[[1]], [[3]], [[64]]]]
per_vector = [get_feature_stats(v, axis=0, keepdims=False) for v in vectors]
# As floats: up to 0.4.4 LeRobot squares uint8 pixels, which overflow, and writes a spread of 0 (lerobot #3682).
image = get_feature_stats(images.astype(np.float64), axis=(0, 2, 3), keepdims=True)
running = RunningQuantileStats()
batches = [random.normal(size=(n, 2)) * [scale, 3] for n, scale in [(40, 1), (3, 0.1), (60, 20), (25, 5)]]
for batch in batches:
    running.update(batch)
print(
    json.dumps(
        {
            "vectors": [{"values": v.tolist(), "statistics": listed(s)} for v, s in zip(vectors, per_vector)],
            "merged": listed(aggregate_stats([{"x": s} for s in per_vector])["x"]),
            "single": {"values": one.tolist(), "statistics": listed(get_feature_stats(one, axis=0, keepdims=False))},
            "images": {
                "pixels": images.transpose(0, 2, 3, 1).tolist(),
                "statistics": listed({k: v if k == "count" else v / 255 for k, v in image.items()}),
            },
            "running": {"batches": [b.tolist() for b in batches], "statistics": listed(running.get_statistics())},
            "samples": {str(n): sample_indices(n) for n in [1, 2, 99, 101, 137, 1000]},
        }
    )
)
