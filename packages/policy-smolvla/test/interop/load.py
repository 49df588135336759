"""Loads what save.ts saved with the real LeRobot, and compares the predicted actions: `python test/interop/load.py <folder>`."""

import json
import os
import sys

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "golden"))
import environment  # noqa: F401,E402  (must come before lerobot)
from lerobot.policies.factory import make_pre_post_processors
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy

folder = os.path.abspath(sys.argv[1])
sample = json.load(open(os.path.join(folder, "sample.json")))
# The small preset brings its own vision-language model, named by a path inside the checkpoint.
os.chdir(os.path.join(folder, "checkpoint"))
policy = SmolVLAPolicy.from_pretrained(".", strict=True)
pre, post = make_pre_post_processors(policy.config, ".")
height, width = sample["size"]
batch = {"observation.state": torch.tensor(sample["state"]), "task": sample["task"]}
for key, pixels in sample["images"].items():
    image = torch.tensor(pixels, dtype=torch.float32).reshape(height, width, 3)
    batch[key] = image.permute(2, 0, 1) / 255
noise = torch.tensor(sample["noise"]).reshape(1, policy.config.chunk_size, policy.config.max_action_dim)
actions = post(policy.predict_action_chunk(pre(batch), noise=noise))
ours = torch.tensor(sample["actions"]).reshape(actions.shape)
print("largest difference", (actions - ours).abs().max().item(), "of values up to", ours.abs().max().item())
