"""Flower's own aggregation of the bench's files, for comparison. Development only: nothing of zk0 needs Python.

    python -m venv flower && flower/bin/pip install flwr numpy safetensors
    ZK0_BENCH_PYTHON=flower/bin/python npx nx bench strategy
    flower/bin/python flower.py <folder of the bench> <clients> <aggregate|inplace|serverapp|trimmed|krum> [limit in GB]

Prints one JSON line. With a limit the process may not have more memory than that, so that it fails before the machine does.
"""
import gc
import importlib.metadata
import json
import os
import resource
import statistics
import sys
import time

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
import numpy as np
from safetensors.numpy import load_file, save_file

folder, clients, what = sys.argv[1], int(sys.argv[2]), sys.argv[3]
if len(sys.argv) > 4:
    limit = int(float(sys.argv[4]) * 1e9)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def load(index, wrap):
    model = load_file(os.path.join(folder, f"client-{index + 1:02d}.safetensors"))
    return wrap(list(model.values()), 100 + index)


if what in ("aggregate", "trimmed", "krum"):
    from flwr.server.strategy.aggregate import aggregate, aggregate_krum, aggregate_trimmed_avg

    def wrap(model, count):
        return model, count

    run = {
        "aggregate": aggregate,
        "trimmed": lambda results: aggregate_trimmed_avg(results, 0.2),
        "krum": lambda results: aggregate_krum(results, 2, 4),
    }[what]
elif what == "inplace":  # what its FedAvg does unless told otherwise
    from flwr.common import Code, FitRes, Status, ndarrays_to_parameters
    from flwr.server.strategy.aggregate import aggregate_inplace as run

    def wrap(model, count):
        return None, FitRes(Status(Code.OK, ""), ndarrays_to_parameters(model), count, {})

elif what == "serverapp":
    from flwr.app import ArrayRecord, MetricRecord, RecordDict
    from flwr.serverapp.strategy.strategy_utils import aggregate_arrayrecords

    def wrap(model, count):
        return RecordDict({"arrays": ArrayRecord(model), "metrics": MetricRecord({"num-examples": count})})

    def run(records):
        arrays = aggregate_arrayrecords(records, "num-examples")
        return arrays.to_numpy_ndarrays()

else:
    raise SystemExit(f"unknown: {what}")

report = {
    "flwr": importlib.metadata.version("flwr"),
    "numpy": np.__version__,
    "python": sys.version.split()[0],
    "what": what,
    "clients": clients,
}
try:
    start = time.perf_counter()
    results = [load(index, wrap) for index in range(clients)]
    report["load_s"] = round(time.perf_counter() - start, 2)
    seconds = []
    for _ in range(5 if clients <= 8 else 1):
        arrays = None
        gc.collect()
        start = time.perf_counter()
        arrays = run(results)
        seconds.append(time.perf_counter() - start)
    report["aggregate_s"] = round(statistics.median(seconds), 2)
    path = os.path.join(folder, "flower-result.safetensors")
    named = {str(index): np.asarray(array, np.float32) for index, array in enumerate(arrays)}
    start = time.perf_counter()
    save_file(named, path)
    report["save_s"] = round(time.perf_counter() - start, 2)
    os.remove(path)
except MemoryError:
    report["failed"] = "out of memory"
report["peak_rss_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)
print(json.dumps(report))
