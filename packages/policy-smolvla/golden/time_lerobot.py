"""Times the real LeRobot at full size: lerobot/smolvla_base's architecture with random weights.

    python time_lerobot.py train [steps] [threads]     whole training steps: forward, backward, clipping, AdamW
    python time_lerobot.py act [chunks] [threads]      action chunks of one observation, 10 denoising steps
        --device cuda --precision bfloat16 --batch 64  elsewhere than on the processor, under autocast, with another batch than 8

prints one line of JSON. Weights are float32; with another precision the forward pass runs under `torch.autocast`, as LeRobot's
`use_amp` does. Images are given as decoded tensors of a camera's size, so that what is timed is the policy alone;
`bench/policy.ts` runs it beside the package's own figures.
"""

import argparse
import json
import os
import sys
from importlib.metadata import version
from time import perf_counter

import torch
from make import build_policy, make_batch
from environment import LEROBOT
from full_size import CASE

BATCH, HEIGHT, WIDTH, LANGUAGE_TOKENS = 8, 480, 640, 18


def reset_peak():
    """Building the policy with random weights needs more than loading one would; only what comes after it counts."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def peak_bytes():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))


def camera_batch(size, generator):
    case = dict(CASE, batch=size, language_tokens=LANGUAGE_TOKENS, pad_language=False, pad_actions=False)
    batch, _, _ = make_batch(case, generator)
    for index in range(case["cameras"]):
        batch[f"observation.images.camera{index}"] = torch.rand(size, 3, HEIGHT, WIDTH, generator=generator)
    batch["action_is_pad"] = torch.zeros(size, case["policy"]["chunk_size"], dtype=torch.bool)
    return batch


def train(policy, batch):
    """One step as LeRobot's training loop takes it (`update_policy`)."""
    optimizer = train.optimizer
    loss, _ = policy.forward(dict(batch))
    loss.backward()
    torch.nn.utils.clip_grad_norm_(policy.parameters(), policy.config.optimizer_grad_clip_norm)
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


def act(policy, batch):
    policy.reset()
    with torch.inference_mode():
        return policy.predict_action_chunk(dict(batch)).sum().item()


def finish(device):
    """Waits for what a card still has to do."""
    if device != "cpu":
        torch.cuda.synchronize()


def matmul_rate(device, size=(2048, 1024, 2048)):
    a, b = torch.rand(size[0], size[1], device=device), torch.rand(size[1], size[2], device=device)
    seconds = []
    for _ in range(12):
        finish(device)
        began = perf_counter()
        a @ b
        finish(device)
        seconds.append(perf_counter() - began)
    return 2 * size[0] * size[1] * size[2] / sorted(seconds)[len(seconds) // 2] / 1e9


def main(what, runs, threads, device, precision, size):
    torch.set_num_threads(threads)
    policy, generator = build_policy(CASE)
    batch = camera_batch(size if what == "train" else 1, generator)
    policy.to(device)
    policy.config.device = device
    batch = {key: value.to(device) for key, value in batch.items()}
    if what == "train":
        policy.train()
        preset = policy.config.get_optimizer_preset()
        train.optimizer = preset.build(policy.get_optim_params())
        once = train
    else:
        policy.eval()
        batch = {key: value for key, value in batch.items() if not key.startswith("action")}
        once = act
    reset_peak()
    seconds = []
    for _ in range(runs + 1):
        finish(device)
        began = perf_counter()
        with torch.autocast(device, dtype=getattr(torch, precision), enabled=precision != "float32"):
            once(policy, batch)
        finish(device)
        seconds.append(perf_counter() - began)
    print(json.dumps({
        "what": what, "seconds": seconds[1:], "firstSeconds": seconds[0], "peakBytes": peak_bytes(),
        "device": device, "precision": precision, "batch": size if what == "train" else 1,
        **({} if device == "cpu" else {"devicePeakBytes": torch.cuda.max_memory_reserved()}),
        "threads": threads, "matmulGflops": matmul_rate(device),
        "versions": {"lerobot": LEROBOT, "torch": torch.__version__, "transformers": version("transformers"),
                     "python": sys.version.split()[0]},
    }))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["train", "act"])
    parser.add_argument("runs", nargs="?", type=int, default=3)
    parser.add_argument("threads", nargs="?", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--batch", type=int, default=BATCH)
    given = parser.parse_args()
    main(given.what, given.runs, given.threads, given.device, given.precision, given.batch)
