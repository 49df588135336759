"""Writes the golden files beside this script with the real LeRobot on PyTorch.

    pip install torch==2.13.0 torchvision transformers==5.5.4 "lerobot[smolvla]==0.6.1"   # Python 3.12
    python make.py                 # every case of the installed release (0.6)
    python make.py cross-two-cameras

and once more in an environment with lerobot 0.4.4 and transformers 4.57.6 for the cases marked `lerobot="0.4"`.
Nothing is downloaded: the vision-language model is built from a configuration object with random weights.

Per case two files:
  <case>.json          the configuration in the package's own terms, the batch's sizes, the optimiser, and the versions used
  <case>.safetensors   `weight/*` (bfloat16, so exact in float32), `input/*`, and what LeRobot computed: `imageTokens`,
                       `prefixKeys`, `prefixValues`, `prefixPad`, `loss`, `gradient/*`, `step1/*`, `step10/*`, `proximal/*`, `actions`
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import torch

import environment  # noqa: F401  (must come before lerobot)
from cases import CASES, case  # noqa: F401
from lerobot.configs.types import FeatureType, NormalizationMode, PolicyFeature
from lerobot.policies.smolvla import modeling_smolvla, smolvlm_with_expert
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from safetensors.torch import save_file
from transformers import LlamaConfig, SmolVLMConfig

HERE = Path(__file__).parent
RELEASE = "0.4" if version("transformers").startswith("4.") else "0.6"
PAD_TOKEN, FAKE_IMAGE_TOKEN, GLOBAL_IMAGE_TOKEN = 3, 61, 62


def build_policy(case):
    """A SmolVLAPolicy of the case's sizes, made without any file from the hub."""
    text = LlamaConfig(num_hidden_layers=case["policy"]["num_vlm_layers"] + 1, tie_word_embeddings=False,
                       pad_token_id=PAD_TOKEN, max_position_embeddings=512, **case["text"])
    vlm = SmolVLMConfig(vision_config=dict(case["vision"]), text_config=text, scale_factor=case["scale_factor"],
                        image_token_id=63, pad_token_id=PAD_TOKEN, tie_word_embeddings=False)
    tokenizer = SimpleNamespace(fake_image_token_id=FAKE_IMAGE_TOKEN, global_image_token_id=GLOBAL_IMAGE_TOKEN)
    smolvlm_with_expert.AutoConfig = SimpleNamespace(from_pretrained=lambda _: vlm)
    smolvlm_with_expert.AutoProcessor = SimpleNamespace(from_pretrained=lambda _: SimpleNamespace(tokenizer=tokenizer))
    features = {"observation.state": PolicyFeature(FeatureType.STATE, (case["state_size"],))}
    for index in range(case["cameras"]):
        features[f"observation.images.camera{index}"] = PolicyFeature(FeatureType.VISUAL, (3, *case["policy"]["resize_imgs_with_padding"]))
    identity = {kind: NormalizationMode.IDENTITY for kind in ("VISUAL", "STATE", "ACTION")}
    config = SmolVLAConfig(input_features=features, device="cpu", load_vlm_weights=False, normalization_mapping=identity,
                           output_features={"action": PolicyFeature(FeatureType.ACTION, (case["action_size"],))},
                           **case["policy"])
    policy = modeling_smolvla.SmolVLAPolicy(config).float()
    generator = torch.Generator().manual_seed(case["seed"])
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            values = torch.randn(parameter.shape, generator=generator)
            if "norm" in name and name.endswith("weight"):
                values = 1 + 0.2 * values
            elif parameter.ndim == 1:
                values = 0.2 * values
            elif "embed" in name:
                values = 0.3 * values
            else:
                values = values * parameter[0].numel() ** -0.5
            parameter.copy_(values.to(torch.bfloat16).float())
    return policy, generator


def make_batch(case, generator):
    """One batch in LeRobot's terms, and the noise and times that go with it."""
    rand = lambda *shape: torch.randn(*shape, generator=generator)
    size, length, config = case["batch"], case["language_tokens"], case["policy"]
    batch = {"observation.state": rand(size, case["state_size"]),
             "action": rand(size, config["chunk_size"], case["action_size"])}
    for index in range(case["cameras"]):
        images = torch.rand(size, 3, *config["resize_imgs_with_padding"], generator=generator)
        batch[f"observation.images.camera{index}"] = images
        if case["hide_camera"] and index == 1:
            batch[f"observation.images.camera{index}_padding_mask"] = torch.tensor([True] + [False] * (size - 1))
    tokens = torch.randint(0, 60, (size, length), generator=generator)
    tokens[:, 1] = PAD_TOKEN  # also where it is not padding
    mask = torch.ones(size, length, dtype=torch.bool)
    if case["pad_language"]:
        for row in range(size):
            mask[row, length - 1 - 2 * row:] = False
    batch["observation.language.tokens"] = torch.where(mask, tokens, PAD_TOKEN)
    batch["observation.language.attention_mask"] = mask
    if case["pad_actions"]:
        is_pad = torch.zeros(size, config["chunk_size"], dtype=torch.bool)
        is_pad[0, -2:] = True
        # 0.4 looks for the flags under a name that no dataset gives them.
        batch["actions_id_pad" if RELEASE == "0.4" else "action_is_pad"] = is_pad
    noise = rand(size, config["chunk_size"], config["max_action_dim"])
    time = torch.rand(size, generator=generator) * 0.999 + 0.001
    return batch, noise, time


def inputs_of(case, policy, batch, noise, time):
    """The batch as the package's graphs take it."""
    images, masks = policy.prepare_images(batch)
    images, masks = images[:case["cameras"]], masks[:case["cameras"]]
    is_pad = batch.get("actions_id_pad", batch.get("action_is_pad"))
    if is_pad is None:
        is_pad = torch.zeros(noise.shape[:2], dtype=torch.bool)
    return {
        "images": torch.stack(images, 1), "imageMask": torch.stack(masks, 1),
        "tokenIds": batch["observation.language.tokens"], "tokenMask": batch["observation.language.attention_mask"],
        "state": policy.prepare_state(batch), "actions": policy.prepare_action(batch),
        "noise": noise, "time": time, "actionIsPad": is_pad,
    }


def frozen_prefix(policy, inputs):
    """Scaled image tokens, and the keys and values of the image and language tokens in every text layer."""
    model = policy.model
    images = inputs["images"].unbind(1)
    with torch.no_grad():
        tokens = [model.vlm_with_expert.embed_image(image) for image in images]
        scaled = torch.stack([token * token.shape[-1] ** 0.5 for token in tokens], 1)
        captured = []
        attention = model.vlm_with_expert.eager_attention_forward

        def capture(mask, size, head_dim, query, key, value):
            captured.append((key, value))
            return attention(mask, size, head_dim, query, key, value)

        prepared, masks = policy.prepare_images(policy.golden_batch)
        embeddings, pad, att = model.embed_prefix(prepared, masks, inputs["tokenIds"], inputs["tokenMask"], state=inputs["state"])
        mask = modeling_smolvla.make_att_2d_masks(pad, att)
        extra = {"fill_kv_cache": True} if RELEASE == "0.4" else {}
        model.vlm_with_expert.eager_attention_forward = capture
        model.vlm_with_expert.forward(attention_mask=mask, position_ids=torch.cumsum(pad, dim=1) - 1, past_key_values=None,
                                      inputs_embeds=[embeddings, None], use_cache=True, **extra)
        model.vlm_with_expert.eager_attention_forward = attention
    stack = lambda which: torch.stack([layer[which].flatten(2) for layer in captured], 1)
    return {"imageTokens": scaled, "prefixKeys": stack(0), "prefixValues": stack(1), "prefixPad": pad}


def trained_gradients(policy):
    return {name: parameter.grad.clone() for name, parameter in policy.named_parameters() if parameter.grad is not None}


def run_steps(case, policy, batch, noise, time, out):
    """AdamW as LeRobot's preset builds it and its training loop applies it: clip, then step."""
    preset = case["optimizer"]
    start = {name: parameter.detach().clone() for name, parameter in policy.named_parameters()}
    optimizer = torch.optim.AdamW(policy.get_optim_params(), lr=preset["lr"], betas=preset["betas"], eps=preset["eps"],
                                  weight_decay=preset["weight_decay"])
    for step in range(1, preset["steps"] + 1):
        optimizer.zero_grad()
        policy.forward(dict(batch), noise=noise, time=time)[0].backward()
        norm = torch.nn.utils.clip_grad_norm_(policy.parameters(), preset["grad_clip_norm"])
        if step == 1:
            out["gradientNorm"] = norm.detach()
        optimizer.step()
        if step in (1, preset["steps"]):
            for name, parameter in policy.named_parameters():
                if parameter.grad is not None:
                    out[f"step{step}/{name}"] = parameter.detach().clone()
        if step == 1 and "proximal" in case:
            policy.zero_grad()
            loss = policy.forward(dict(batch), noise=noise, time=time)[0]
            trained = [(name, p) for name, p in policy.named_parameters() if f"step1/{name}" in out]
            proximal = case["proximal"] / 2 * sum(((p - start[name]) ** 2).sum() for name, p in trained)
            (loss + proximal).backward()
            out["proximal/policyLoss"], out["proximal/loss"] = loss.detach(), proximal.detach()
            for name, parameter in trained:
                out[f"proximal/gradient/{name}"] = parameter.grad.clone()


def description(case, policy):
    """The case in the terms of the package's `SmolVlaModelConfig` and `GraphShape`."""
    text, vision, fields = case["text"], case["vision"], case["policy"]
    old = case["lerobot"] == "0.4"
    return {
        "tensors": {name: list(value.shape) for name, value in policy.state_dict().items()},
        "versions": {name: version(name) for name in ("torch", "transformers")} | {"lerobot": environment.LEROBOT},
        "model": {
            "vision": {"hiddenSize": vision["hidden_size"], "intermediateSize": vision["intermediate_size"],
                       "layers": vision["num_hidden_layers"], "heads": vision["num_attention_heads"],
                       "imageSize": vision["image_size"], "patchSize": vision["patch_size"],
                       "layerNormEps": vision["layer_norm_eps"]},
            "text": {"hiddenSize": text["hidden_size"], "intermediateSize": text["intermediate_size"],
                     "heads": text["num_attention_heads"], "kvHeads": text["num_key_value_heads"],
                     "headDim": text["head_dim"], "vocabSize": text["vocab_size"], "rmsNormEps": text["rms_norm_eps"],
                     "padTokenId": PAD_TOKEN},
            "pixelShuffle": case["scale_factor"], "imageSize": fields["resize_imgs_with_padding"][0],
            "numVlmLayers": fields["num_vlm_layers"], "numExpertLayers": fields["num_expert_layers"],
            "expertWidthMultiplier": fields["expert_width_multiplier"], "attentionMode": fields["attention_mode"],
            "selfAttnEveryNLayers": fields["self_attn_every_n_layers"], "chunkSize": fields["chunk_size"],
            "maxStateDim": fields["max_state_dim"], "maxActionDim": fields["max_action_dim"],
            "numSteps": fields["num_steps"], "minPeriod": 4e-3, "maxPeriod": 4.0,
            "addImageSpecialTokens": fields["add_image_special_tokens"], "fakeImageTokenId": FAKE_IMAGE_TOKEN,
            "globalImageTokenId": GLOBAL_IMAGE_TOKEN, "freezeVisionEncoder": fields["freeze_vision_encoder"],
            "trainExpertOnly": fields["train_expert_only"], "trainStateProj": fields["train_state_proj"],
            "patchPositions": "shifted" if old else "exact", "lossReduction": "padded" if old else "valid",
        },
        "shape": {"batch": case["batch"], "cameras": case["cameras"], "emptyCameras": fields["empty_cameras"],
                  "languageTokens": case["language_tokens"], "actionSize": case["action_size"]},
        "optimizer": case["optimizer"], "proximalMu": case.get("proximal"),
    }


def prepare(case, weight_type=torch.bfloat16):
    """A policy, its batch, and the tensors of both as a golden file holds them."""
    policy, generator = build_policy(case)
    policy.train()
    batch, noise, time = make_batch(case, generator)
    policy.golden_batch = batch
    inputs = inputs_of(case, policy, batch, noise, time)
    out = {f"weight/{name}": p.detach().to(weight_type) for name, p in policy.named_parameters()}
    out |= {f"input/{name}": value for name, value in inputs.items()}
    return policy, batch, noise, time, inputs, out


def make(case):
    policy, batch, noise, time, inputs, out = prepare(case)
    out |= frozen_prefix(policy, inputs)
    loss, _ = policy.forward(dict(batch), noise=noise, time=time)
    loss.backward()
    out["loss"] = loss.detach()
    out |= {f"gradient/{name}": grad for name, grad in trained_gradients(policy).items()}
    if case["sample"]:
        observation = {key: value for key, value in batch.items() if not key.startswith("action")}
        images, masks = policy.prepare_images(observation)
        with torch.no_grad():
            out["actions"] = policy.model.sample_actions(images, masks, inputs["tokenIds"], inputs["tokenMask"],
                                                         inputs["state"], noise=noise)
    if case["optimizer"] is not None:
        policy.zero_grad()
        run_steps(case, policy, batch, noise, time, out)
    save_file({name: value.contiguous() for name, value in out.items()}, HERE / f"{case['name']}.safetensors")
    (HERE / f"{case['name']}.json").write_text(json.dumps(description(case, policy)) + "\n")
    norm = torch.sqrt(sum((g.double() ** 2).sum() for g in trained_gradients(policy).values()))
    print(f"{case['name']:28s} loss {loss.item():.6f}  gradient norm {norm:.3f}  trained tensors {len(trained_gradients(policy))}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for chosen in CASES:
        if chosen["lerobot"] == RELEASE and (len(sys.argv) == 1 or chosen["name"] in sys.argv[1:]):
            make(chosen)
