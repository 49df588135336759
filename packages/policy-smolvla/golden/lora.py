"""Writes golden/lora/ with the real LeRobot and PEFT on PyTorch: a SmolVLA wrapped as LeRobot wraps it for LoRA.

    pip install torch==2.13.0 torchvision transformers==4.57.6 peft==0.21.2 "lerobot[smolvla,peft]==0.4.4"   # Python 3.11
    python lora.py

Factors are drawn at random, those that PEFT begins at zero too, so that no gradient is zero.

  lora/case.json          the configuration in the package's own terms, as in the other cases, and rank and alpha
  lora/case.safetensors   `weight/*` (bfloat16), `input/*`, `prefix*`, `factor/*`, and what was computed: `loss`, `gradient/*`,
                          `step1/*`, `step10/*` (of the factors), `merged/*` (of the weights), `actions` of the merged policy
  lora/adapter/           what `PeftModel.save_pretrained` wrote
"""

import json
import shutil

import torch
from importlib.metadata import version
from pathlib import Path

import make
from cases import PRESET, case
from safetensors.torch import save_file

HERE = Path(__file__).parent / "lora"
RANK = 16


def plain(name):
    """`base_model.model.<module>.lora_A.default.weight` → `<module>.lora_A.weight`."""
    return name.removeprefix("base_model.model.").replace(".default.", ".")


def main():
    chosen = case("lora", 21, dict(num_vlm_layers=4), lerobot="0.4", cameras=2, optimizer=PRESET)
    policy, batch, noise, time, inputs, out = make.prepare(chosen)
    out |= make.frozen_prefix(policy, inputs)
    description = make.description(chosen, policy)
    policy.config.pretrained_path = "zk0/tiny"
    wrapped = policy.wrap_with_peft(peft_cli_overrides={"r": RANK})
    settings = wrapped.peft_config["default"]
    generator = torch.Generator().manual_seed(5)
    factors = {name: parameter for name, parameter in wrapped.named_parameters() if parameter.requires_grad}
    with torch.no_grad():
        for parameter in factors.values():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * parameter.shape[1] ** -0.5)
    out |= {f"factor/{plain(name)}": parameter.detach().clone() for name, parameter in factors.items()}

    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir()
    wrapped.save_pretrained(HERE / "adapter")
    policy.config.use_peft = True
    (HERE / "adapter" / "README.md").unlink(missing_ok=True)

    optimizer = torch.optim.AdamW(factors.values(), lr=PRESET["lr"], betas=PRESET["betas"], eps=PRESET["eps"],
                                  weight_decay=PRESET["weight_decay"])
    start = {name: parameter.detach().clone() for name, parameter in factors.items()}
    for step in range(1, PRESET["steps"] + 1):
        optimizer.zero_grad()
        loss, _ = wrapped.forward(dict(batch), noise=noise, time=time)
        loss.backward()
        if step == 1:
            out["loss"] = loss.detach()
            out |= {f"gradient/{plain(name)}": parameter.grad.clone() for name, parameter in factors.items()}
        torch.nn.utils.clip_grad_norm_(list(factors.values()), PRESET["grad_clip_norm"])
        optimizer.step()
        if step in (1, PRESET["steps"]):
            out |= {f"step{step}/{plain(name)}": parameter.detach().clone() for name, parameter in factors.items()}
    with torch.no_grad():
        for name, parameter in factors.items():
            parameter.copy_(start[name])

    merged = wrapped.merge_and_unload()
    adapted = {plain(name).removesuffix(".lora_A.weight") for name in factors if ".lora_A." in name}
    state = merged.state_dict()
    out |= {f"merged/{module}.weight": state[f"{module}.weight"].clone() for module in sorted(adapted)}
    observation = {key: value for key, value in batch.items() if not key.startswith("action")}
    images, masks = merged.prepare_images(observation)
    with torch.no_grad():
        out["actions"] = merged.model.sample_actions(images, masks, inputs["tokenIds"], inputs["tokenMask"], inputs["state"],
                                                     noise=noise)
    description["versions"]["peft"] = version("peft")
    description["lora"] = {"rank": settings.r, "alpha": settings.lora_alpha, "targets": settings.target_modules}
    save_file({name: value.contiguous() for name, value in out.items()}, HERE / "case.safetensors")
    (HERE / "case.json").write_text(json.dumps(description) + "\n")
    print(f"loss {out['loss'].item():.6f}, {len(factors)} factors, alpha {settings.lora_alpha}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
