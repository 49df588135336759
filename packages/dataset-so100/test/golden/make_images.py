"""Makes images-v30/, a small dataset whose cameras keep PNGs in the rows, with the real LeRobot (0.4.4), and images.json:
what LeRobot reads from it with delta timestamps; and pictures.json, files of every kind as Pillow decodes them.
A development tool.

    python make_images.py
"""

import base64
import hashlib
import io
import json
import shutil
from pathlib import Path

import datasets
import lerobot
import numpy as np
import PIL.ExifTags
import PIL.Image
import PIL.ImageOps
from lerobot.datasets.lerobot_dataset import LeRobotDataset

HERE = Path(__file__).parent
ROOT = HERE / "images-v30"
JOINTS = ["shoulder", "elbow"]
CAMERAS = ["observation.images.top", "observation.images.wrist"]
DELTAS = {
    "observation.state": [-0.2, -0.1, 0.0],
    "observation.images.top": [-0.1, 0.0, 0.1],
    "action": [0.0, 0.1, 0.2, 0.3],
}


def record() -> None:
    shutil.rmtree(ROOT, ignore_errors=True)
    vector = {"dtype": "float32", "shape": (len(JOINTS),), "names": JOINTS}
    image = {"dtype": "image", "shape": (12, 16, 3), "names": ["height", "width", "channels"]}
    features = {"observation.state": vector, "action": vector, **{camera: image for camera in CAMERAS}}
    dataset = LeRobotDataset.create("golden/images", fps=10, features=features, root=ROOT, use_videos=False, robot_type="so101_follower")
    random = np.random.default_rng(3)
    for episode, length in enumerate([4, 6, 1]):
        for _ in range(length):
            dataset.add_frame({
                **{key: random.normal(size=len(JOINTS)).astype(np.float32) for key in ["observation.state", "action"]},
                **{camera: random.integers(0, 256, (12, 16, 3), dtype=np.uint8) for camera in CAMERAS},
                "task": f"task {episode}",
            })
        dataset.save_episode()
    dataset.finalize()


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def image_digests(tensor) -> list[str]:
    scaled = tensor.numpy().reshape(-1, *tensor.shape[-3:]).transpose(0, 2, 3, 1) * 255
    rounded = np.rint(scaled).astype(np.uint8)
    assert np.abs(scaled - rounded).max() < 1e-3
    return [digest(image) for image in rounded]


def pictures() -> list[dict]:
    """Files of every kind with what Pillow, and so LeRobot, decodes them to."""
    y, x = np.mgrid[:35, :51]
    smooth = np.stack([x * 4 + y, 128 + 100 * np.sin(x / 9) * np.cos(y / 7), (x * y) % 256], -1)
    noisy = np.clip(smooth + np.random.default_rng(1).normal(0, 12, smooth.shape), 0, 255).astype(np.uint8)
    image = PIL.Image.fromarray(noisy)
    turned = PIL.Image.Exif()
    turned[PIL.ExifTags.Base.Orientation] = 6
    kinds = [("PNG", image, {}), ("grey PNG", image.convert("L"), {}), ("PNG with a palette", image.quantize(64), {}),
             ("PNG with transparency", PIL.Image.fromarray(np.dstack([noisy, noisy[..., :1]])), {}),
             ("black and white PNG", image.convert("1"), {}), ("grey JPEG", image.convert("L"), {}),
             ("progressive JPEG", image, {"progressive": True}), ("JPEG turned by its Exif data", image, {"exif": turned})]
    kinds += [(f"JPEG of quality {quality}, subsampling {sampling}", image, {"quality": quality, "subsampling": sampling})
              for quality in [30, 75, 95] for sampling in [0, 1, 2]]
    found = []
    for name, picture, options in kinds:
        file = io.BytesIO()
        picture.save(file, "JPEG" if "JPEG" in name else "PNG", **options)
        decoded = PIL.ImageOps.exif_transpose(PIL.Image.open(file)).convert("RGB")
        found.append({"name": name, "file": base64.b64encode(file.getvalue()).decode(),
                      "width": decoded.width, "height": decoded.height, "rgb": digest(np.asarray(decoded))})
    return found


def main() -> None:
    (HERE / "pictures.json").write_text(json.dumps({"pillow": PIL.__version__, "pictures": pictures()}, indent=1) + "\n")
    record()
    dataset = LeRobotDataset("golden/images", root=ROOT, delta_timestamps=DELTAS)
    samples = []
    for index in range(dataset.num_frames):
        item = dataset[index]
        samples.append({
            "episode": int(item["episode_index"]),
            "frame": int(item["frame_index"]),
            "timestamp": float(item["timestamp"]),
            "task": item["task"],
            "state": digest(item["observation.state"].numpy().astype("<f4")),
            "action": digest(item["action"].numpy().astype("<f4")),
            "images": {camera: image_digests(item[camera]) for camera in CAMERAS},
            "isPad": {key: [int(flag) for flag in item[f"{key}_is_pad"]] for key in DELTAS},
        })
    versions = {"lerobot": lerobot.__version__, "datasets": datasets.__version__, "pillow": PIL.__version__}
    (HERE / "images.json").write_text(json.dumps({**versions, "deltas": DELTAS, "samples": samples}, indent=1) + "\n")


main()
