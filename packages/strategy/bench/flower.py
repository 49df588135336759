"""Flower's own aggregation of the bench's files, for comparison. Development only: nothing of zk0 needs Python.

    python -m venv flower && flower/bin/pip install flwr numpy safetensors
    flower/bin/python flower.py <folder of the bench> <clients> <fedavg|fedavg-inplace|serverapp|trimmed|krum>
"""
import importlib.metadata
import json
import os
import resource
import sys
import time

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
import numpy as np
from safetensors.numpy import load_file

folder, clients, what = sys.argv[1], int(sys.argv[2]), sys.argv[3]
start = time.perf_counter()
models = [
    list(load_file(os.path.join(folder, f"client-{index + 1:02d}.safetensors")).values())
    for index in range(clients)
]
loading = time.perf_counter() - start
results = [(model, 100 + index) for index, model in enumerate(models)]
best = float("inf")
for _ in range(3 if clients <= 8 else 1):
    if what == "fedavg":
        from flwr.server.strategy.aggregate import aggregate

        start = time.perf_counter()
        aggregate(results)
    elif what == "trimmed":
        from flwr.server.strategy.aggregate import aggregate_trimmed_avg

        start = time.perf_counter()
        aggregate_trimmed_avg(results, 0.2)
    elif what == "krum":
        from flwr.server.strategy.aggregate import aggregate_krum

        start = time.perf_counter()
        aggregate_krum(results, 2, 4)
    elif what == "serverapp":
        from flwr.app import ArrayRecord, MetricRecord, RecordDict
        from flwr.serverapp.strategy.strategy_utils import aggregate_arrayrecords

        records = [
            RecordDict({"arrays": ArrayRecord(model), "metrics": MetricRecord({"num-examples": count})})
            for model, count in results
        ]
        start = time.perf_counter()
        aggregate_arrayrecords(records, "num-examples")
    else:
        raise SystemExit(f"unknown: {what}")
    best = min(best, time.perf_counter() - start)
print(
    json.dumps(
        {
            "flwr": importlib.metadata.version("flwr"),
            "numpy": np.__version__,
            "python": sys.version.split()[0],
            "what": what,
            "clients": clients,
            "load_s": round(loading, 2),
            "aggregate_s": round(best, 2),
            "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6),
        }
    )
)
