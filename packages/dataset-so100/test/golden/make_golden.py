"""Writes the golden samples that lerobot-golden.test.ts compares with: what the real LeRobot reads from real recordings.

A development tool. Needs lerobot 0.3.3 for format v2.1 and 0.4.x for v3.0, each with PyAV:

    PYTHONPATH=<lerobot 0.3.3> python make_golden.py <folder of recordings> so101_bimanual_cloth cr5_banana_plate
    python make_golden.py <folder of recordings> so101_no_camera

Frames are written as SHA-256 of their RGB bytes (height x width x 3).
"""

import hashlib
import json
import shutil
import sys
import tempfile
from pathlib import Path

import av
import lerobot
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from lerobot.datasets.lerobot_dataset import CODEBASE_VERSION, LeRobotDataset

CHUNK = 50
# The recordings' timestamps stray by seconds from their frame rate; LeRobot's own default of 1e-4 s refuses them.
TOLERANCE = 1e3


def with_standard_columns(source: Path, target: Path) -> None:
    """Copies a recording, adding what this LeRobot insists on and the recorder left out, changing no recorded value."""
    shutil.copytree(source, target)
    for file in target.rglob("*"):
        file.chmod(0o644 if file.is_file() else 0o755)
    info_file = target / "meta/info.json"
    info = json.loads(info_file.read_text())
    if info["codebase_version"] != "v2.1":
        return
    info["data_path"] = info["data_path"].replace("{chunk_index", "{episode_chunk")
    info["video_path"] = info["video_path"].replace("{chunk_index", "{episode_chunk")
    for name, dtype in [("timestamp", "float32"), ("frame_index", "int64"), ("episode_index", "int64"),
                        ("index", "int64"), ("task_index", "int64")]:
        info["features"].setdefault(name, {"dtype": dtype, "shape": [1], "names": None})
    info_file.write_text(json.dumps(info))
    start = 0
    stats = []
    for file in sorted(target.glob("data/*/*.parquet")):
        table = pq.read_table(file)
        rows = table.num_rows
        columns = {}
        for name, feature in info["features"].items():
            if feature["dtype"] == "video":
                continue
            if name == "index":
                columns[name] = pa.array(np.arange(start, start + rows))
            elif name == "task_index" and name not in table.column_names:
                columns[name] = pa.array(np.zeros(rows, np.int64))
            elif feature["shape"] == [1]:
                columns[name] = table[name].combine_chunks().cast(pa.from_numpy_dtype(feature["dtype"]))
            else:
                columns[name] = table[name].combine_chunks().cast(pa.list_(pa.float32()))
        pq.write_table(pa.table(columns), file)
        start += rows
        one = {"min": [0.0], "max": [1.0], "mean": [0.0], "std": [1.0], "count": [rows]}
        stats.append({"episode_index": len(stats), "stats": {
            name: one if feature["dtype"] != "video" else
            {key: value if key == "count" else [[value]] * 3 for key, value in one.items()}
            for name, feature in info["features"].items()}})
    (target / "meta/episodes_stats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in stats))


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def frame_bytes(tensor) -> np.ndarray:
    """LeRobot's float32 channel-first image back to the bytes it came from."""
    scaled = tensor.numpy().transpose(1, 2, 0) * 255
    rounded = np.rint(scaled).astype(np.uint8)
    assert np.abs(scaled - rounded).max() < 1e-3
    return rounded


def sequential(path: Path, positions: set[int]) -> dict[int, str]:
    found = {}
    with av.open(str(path)) as container:
        for position, frame in enumerate(container.decode(video=0)):
            if position in positions:
                found[position] = digest(frame.to_ndarray(format="rgb24"))
    return found


def samples(root: Path, name: str) -> dict:
    info = json.loads((root / "meta/info.json").read_text())
    deltas = {"action": [step / info["fps"] for step in range(CHUNK)]}
    options = {"root": root, "delta_timestamps": deltas, "tolerance_s": TOLERANCE, "video_backend": "pyav"}
    dataset = LeRobotDataset(f"golden/{name}", **options)
    cameras = sorted(dataset.meta.video_keys)
    rows = []
    by_position: dict[Path, dict[int, str]] = {}
    picks = sorted(int(pick) for pick in np.random.default_rng(7).choice(dataset.num_frames, 24, replace=False))
    lengths = [int(length) for length in dataset.hf_dataset.with_format("numpy")["episode_index"]]
    firsts = {episode: lengths.index(episode) for episode in set(lengths)}
    picks = sorted({*picks, 0, dataset.num_frames - 1, firsts[1], firsts[1] - 1})
    wanted: dict[tuple[str, int], set[int]] = {}
    for index in picks:
        for camera in cameras:
            wanted.setdefault((camera, lengths[index]), set()).add(index - firsts[lengths[index]])
    for (camera, episode), positions in wanted.items():
        by_position[(camera, episode)] = sequential(root / dataset.meta.get_video_file_path(episode, camera), positions)
    for index in picks:
        item = dataset[index]
        episode = lengths[index]
        rows.append({
            "index": index,
            "episode": episode,
            "frame": int(item["frame_index"]),
            "timestamp": float(item["timestamp"]),
            "task": item["task"],
            "state": digest(item["observation.state"].numpy().astype("<f4")),
            "actions": digest(item["action"].numpy().astype("<f4")),
            "isPad": [int(flag) for flag in item["action_is_pad"]],
            "imagesByTimestamp": {camera: digest(frame_bytes(item[camera])) for camera in cameras},
            "imagesByPosition": {
                camera: by_position[(camera, episode)][index - firsts[episode]] for camera in cameras
            },
        })
    return {
        "lerobot": lerobot.__version__,
        "format": CODEBASE_VERSION,
        "pyav": av.__version__,
        "ffmpeg": ".".join(map(str, av.library_versions["libavcodec"])),
        "chunk": CHUNK,
        "frames": dataset.num_frames,
        "samples": rows,
    }


def main() -> None:
    recordings = Path(sys.argv[1])
    for name in sys.argv[2:]:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / name
            with_standard_columns(recordings / name, root)
            golden = samples(root, name)
        target = Path(__file__).parent / f"{name}.json"
        target.write_text(json.dumps(golden, indent=1) + "\n")
        print(target, len(golden["samples"]), "samples")


main()
