"""The full-size reference: lerobot/smolvla_base's architecture with random weights, once through the real LeRobot.

    python full_size.py DIRECTORY [threads]

writes DIRECTORY/full-size.json and DIRECTORY/full-size.safetensors (about 3 GB: float32 weights, inputs, loss and
gradients, in the layout of make.py) and prints what the step took. `bench/full-size.ts` compares and times against it.
"""

import json
import resource
import sys
from pathlib import Path
from time import perf_counter, process_time

import torch
from make import case, description, prepare, trained_gradients
from safetensors.torch import save_file

CASE = case(
    "full-size", 100,
    dict(chunk_size=50, n_action_steps=50, max_state_dim=32, max_action_dim=32, tokenizer_max_length=48,
         resize_imgs_with_padding=(512, 512), num_vlm_layers=16, expert_width_multiplier=0.75),
    text=dict(hidden_size=960, intermediate_size=2560, num_attention_heads=15, num_key_value_heads=5, head_dim=64,
              vocab_size=49280, rms_norm_eps=1e-5),
    vision=dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, image_size=512,
                patch_size=16, layer_norm_eps=1e-6),
    scale_factor=4, batch=2, cameras=2, state_size=6, action_size=6, language_tokens=48,
)


def main(directory, threads):
    torch.set_num_threads(threads)
    policy, batch, noise, time, _, out = prepare(CASE, torch.float32)
    began, busy = perf_counter(), process_time()
    loss, _ = policy.forward(dict(batch), noise=noise, time=time)
    forward = perf_counter()
    loss.backward()
    done, busy = perf_counter(), process_time() - busy
    out["loss"] = loss.detach()
    out |= {f"gradient/{name}": grad for name, grad in trained_gradients(policy).items()}
    directory.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in out.items()}, directory / "full-size.safetensors")
    (directory / "full-size.json").write_text(json.dumps(description(CASE, policy)) + "\n")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    times = f"forward {forward - began:.2f} s  backward {done - forward:.2f} s  processor {busy:.2f} s"
    print(f"loss {loss.item():.7f}  {times}  peak {peak:.2f} GiB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else torch.get_num_threads())
