"""Loads what save-adapter.ts saved with PEFT on the real LeRobot: `python test/interop/load_adapter.py <folder>`."""

import os
import sys

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "golden"))
import make  # noqa: E402
from cases import PRESET, case  # noqa: E402
from peft import PeftModel  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

golden = load_file(os.path.join(os.path.dirname(make.__file__), "lora", "case.safetensors"))
policy, batch, noise, time, inputs, _ = make.prepare(case("lora", 21, dict(num_vlm_layers=4), lerobot="0.4", cameras=2, optimizer=PRESET))
adapted = PeftModel.from_pretrained(policy, sys.argv[1])
adapted.train()
loss, _ = adapted.forward(dict(batch), noise=noise, time=time)
print("loss", loss.item(), "golden", golden["loss"].item())
merged = adapted.merge_and_unload()
images, masks = merged.prepare_images({key: value for key, value in batch.items() if not key.startswith("action")})
with torch.no_grad():
    actions = merged.model.sample_actions(images, masks, inputs["tokenIds"], inputs["tokenMask"], inputs["state"], noise=noise)
print("largest difference of actions", (actions - golden["actions"]).abs().max().item(), "of values up to", actions.abs().max().item())
