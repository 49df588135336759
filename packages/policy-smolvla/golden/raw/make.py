"""What LeRobot makes of raw pixels, joint values and words: its own pre- and post-processors, loss and predicted actions.

    node --conditions=@zk0/source test/interop/write-raw.ts FOLDER     # in the package's folder
    python golden/raw/make.py FOLDER                             # in the environment of ../make.py

writes `cases.json` beside this script: per case the loss, the actions of every sample, and the versions used.
"""

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import environment  # noqa: E402  (must come before lerobot)
from lerobot.policies.factory import make_pre_post_processors  # noqa: E402
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy  # noqa: E402


def observation_of(batch):
    observation = {"observation.state": torch.tensor(batch["state"]), "task": batch["task"]}
    for key, camera in batch["images"].items():
        width, height = camera["size"]
        pixels = torch.tensor(camera["data"], dtype=torch.float32).reshape(-1, height, width, 3)
        observation[key] = pixels.permute(0, 3, 1, 2) / 255
    return observation


def make(folder):
    batch = json.loads((folder / "batch.json").read_text())
    # The preset brings its own vision-language model, named by a path inside the checkpoint.
    os.chdir(folder / "checkpoint")
    policy = SmolVLAPolicy.from_pretrained(".", strict=True)
    policy.eval()
    pre, post = make_pre_post_processors(policy.config, ".")
    noise = torch.tensor(batch["noise"]).reshape(batch["noiseShape"])
    shape = (noise.shape[0], noise.shape[1], -1)
    with torch.no_grad():
        taught = observation_of(batch) | {"action": torch.tensor(batch["action"]).reshape(shape),
                                          "action_is_pad": torch.tensor(batch["actionIsPad"])}
        loss, _ = policy.forward(pre(taught), noise=noise, time=torch.tensor(batch["time"]))
        actions = post(policy.predict_action_chunk(pre(observation_of(batch)), noise=noise))
    ours = batch["ours"]
    theirs = actions.reshape(len(batch["task"]), -1)
    apart = (torch.tensor(ours["actions"]) - theirs).abs().max().item() / theirs.abs().max().item()
    print(f"{folder.name:28s} loss {loss.item():.7f}  ours {ours['loss']:.7f}  actions apart by {apart:.1e}")
    return {"name": folder.name, "baseHash": batch["baseHash"], "loss": loss.item(),
            "actions": [[float(f"{value:.9g}") for value in row] for row in theirs.tolist()]}


if __name__ == "__main__":
    torch.set_num_threads(1)
    root = Path(sys.argv[1]).resolve()
    cases = [make(folder) for folder in sorted(root.iterdir()) if (folder / "batch.json").exists()]
    versions = {name: version(name) for name in ("torch", "transformers")} | {"lerobot": environment.LEROBOT}
    (HERE / "cases.json").write_text(json.dumps({"versions": versions, "cases": cases}, indent=1) + "\n")
