"""Makes LeRobot importable where parts of it that SmolVLA never calls are missing. Import before lerobot."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

try:
    import torchvision  # noqa: F401
except RuntimeError:
    # Built for another torch, it lacks its compiled operators; importing it needs only their signatures.
    _operators = torch.library.Library("torchvision", "FRAGMENT")
    for _name in ("nms", "qnms"):
        _operators.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def _lerobot_version():
    """The release that `import lerobot` finds, installed or unpacked from its wheel."""
    import lerobot

    for info in Path(lerobot.__file__).parent.parent.glob("lerobot-*.dist-info"):
        return info.name.removeprefix("lerobot-").removesuffix(".dist-info")
    try:
        return version("lerobot")
    except PackageNotFoundError:
        return "unknown"


LEROBOT = _lerobot_version()
