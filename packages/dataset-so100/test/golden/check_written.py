"""Opens datasets that this package wrote with the real LeRobot and checks every row, frame and statistic.

A development tool; nothing at run time or in the tests needs Python.
    python check_written.py DATASET_DIR...
Last run: lerobot 0.4.4, datasets 4.8.5, pyarrow 26.0.1, PyAV 15.1.0, torch 2.10.0, torchvision 0.25.0.
"""

import io
import json
import sys
import tempfile
from pathlib import Path

import lerobot
import numpy as np
import PIL.Image
import pyarrow.parquet as pq
import torch
from lerobot.datasets.compute_stats import aggregate_stats, compute_episode_stats
from lerobot.datasets.lerobot_dataset import LeRobotDataset

VECTORS = ["action", "observation.state"]
SCALARS = ["timestamp", "frame_index", "episode_index", "index", "task_index"]


def close(what, ours, theirs, tolerance):
    ours, theirs = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    assert ours.shape == theirs.shape, f"{what}: shape {ours.shape}, LeRobot has {theirs.shape}"
    worst = np.max(np.abs(ours - theirs) / (1 + np.abs(theirs)))
    assert worst <= tolerance, f"{what}: off by {worst}: {ours} against {theirs}"
    return worst


def picture_statistics(root, camera, features, first, last):
    """What LeRobot's recorder computes of pictures, which it has as files then; proves that it reads the rows' bytes."""
    cells = pq.read_table(root / "data", columns=[camera]).column(camera).slice(first, last - first).to_pylist()
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/{i}.png" for i in range(len(cells))]
        for path, cell in zip(paths, cells):
            Path(path).write_bytes(cell["bytes"])
        statistics = compute_episode_stats({camera: paths}, {camera: features[camera]})
    if lerobot.__version__.startswith("0.4."):
        del statistics[camera]["std"]  # it squares uint8 there, which overflows; later versions do not
    return cells, statistics


def check(root):
    chunk = 5
    info = json.loads((root / "meta/info.json").read_text())
    fps = info["fps"]
    dataset = LeRobotDataset(
        f"local/{root.name}",
        root=root,
        video_backend="pyav",
        delta_timestamps={"action": [i / fps for i in range(chunk)]},
    )
    assert len(dataset) == info["total_frames"] and dataset.num_episodes == info["total_episodes"]
    # LeRobot leaves the statistics out of the episodes it loads.
    recorded = pq.read_table(root / "meta/episodes").to_pylist()
    cameras, pictures = dataset.meta.video_keys, dataset.meta.image_keys
    features = dataset.meta.features
    worst, image_worst, frames, per_episode = 0.0, 0.0, 0, []
    for episode in range(dataset.num_episodes):
        meta = dataset.meta.episodes[episode]
        rows = {key: [] for key in VECTORS + SCALARS}
        pixels = {camera: [] for camera in cameras}
        in_rows = {camera: picture_statistics(root, camera, features, meta["dataset_from_index"], meta["dataset_to_index"]) for camera in pictures}
        for index in range(meta["dataset_from_index"], meta["dataset_to_index"]):
            item = dataset[index]  # decodes both cameras within LeRobot's default tolerance of 1e-4 s
            assert item["task"] in meta["tasks"] and item["index"] == index
            assert item["action"].shape == (chunk, len(features["action"]["names"]))
            past_end = index + torch.arange(chunk) >= meta["dataset_to_index"]
            assert torch.equal(item["action_is_pad"], past_end)
            item["action"] = item["action"][0]
            for key in rows:
                rows[key].append(item[key].numpy())
            for camera in cameras:
                assert item[camera].shape == (3, *features[camera]["shape"][:2])
                pixels[camera].append(item[camera].numpy())
            for camera in pictures:
                cell = in_rows[camera][0][index - meta["dataset_from_index"]]
                decoded = np.asarray(PIL.Image.open(io.BytesIO(cell["bytes"])).convert("RGB"))
                assert np.array_equal(np.rint(item[camera].numpy().transpose(1, 2, 0) * 255), decoded), f"{camera} {index}"
            frames += 1
        # In float64: LeRobot computes in the columns' float32, where the spread of raw servo counts drowns in rounding.
        rows = {key: np.stack(values) for key, values in rows.items()}
        rows = {key: values.astype(np.float64) if values.dtype == np.float32 else values for key, values in rows.items()}
        theirs = compute_episode_stats(rows, {key: features[key] for key in rows})
        for _, statistics in in_rows.values():
            theirs.update(statistics)
        for feature, statistics in theirs.items():
            for name, value in statistics.items():
                ours = recorded[episode][f"stats/{feature}/{name}"]
                worst = max(worst, close(f"episode {episode} {feature} {name}", ours, value, 1e-9))
        for camera in cameras:
            mean = np.mean(np.stack(pixels[camera]), axis=(0, 2, 3)).reshape(3, 1, 1)
            ours = recorded[episode][f"stats/{camera}/mean"]
            image_worst = max(image_worst, close(f"episode {episode} {camera} mean", ours, mean, 0.01))
        per_episode.append(theirs)
    whole = [{feature: one for feature, one in episode.items() if "std" in one} for episode in per_episode]
    for feature, statistics in aggregate_stats(whole).items():
        for name, value in statistics.items():
            ours = dataset.meta.stats[feature][name]
            worst = max(worst, close(f"{feature} {name}", ours, value, 1e-9))
    print(
        f"{root.name}: {dataset.num_episodes} episodes, {frames} frames, {len(cameras)} cameras and {len(pictures)} of pictures decoded; "
        f"statistics off by at most {worst:.1e}, image means (before and after coding) by {image_worst:.1e}"
    )


for path in sys.argv[1:]:
    check(Path(path).resolve())
