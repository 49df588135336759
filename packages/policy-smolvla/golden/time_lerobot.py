"""Times the real LeRobot at full size: lerobot/smolvla_base's architecture with random weights, float32, on the processor.

    python time_lerobot.py train [steps] [threads]     whole training steps: forward, backward, clipping, AdamW
    python time_lerobot.py act [chunks] [threads]      action chunks of one observation, 10 denoising steps

prints one line of JSON. Images are given as decoded tensors of a camera's size, so that what is timed is the policy alone;
`bench/policy.ts` runs it beside the package's own figures.
"""

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


def matmul_rate(size=(2048, 1024, 2048)):
    a, b = torch.rand(size[0], size[1]), torch.rand(size[1], size[2])
    seconds = []
    for _ in range(12):
        began = perf_counter()
        a @ b
        seconds.append(perf_counter() - began)
    return 2 * size[0] * size[1] * size[2] / sorted(seconds)[len(seconds) // 2] / 1e9


def main(what, runs, threads):
    torch.set_num_threads(threads)
    policy, generator = build_policy(CASE)
    batch = camera_batch(BATCH if what == "train" else 1, generator)
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
        began = perf_counter()
        once(policy, batch)
        seconds.append(perf_counter() - began)
    print(json.dumps({
        "what": what, "seconds": seconds[1:], "firstSeconds": seconds[0], "peakBytes": peak_bytes(),
        "threads": threads, "matmulGflops": matmul_rate(),
        "versions": {"lerobot": LEROBOT, "torch": torch.__version__, "transformers": version("transformers"),
                     "python": sys.version.split()[0]},
    }))


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(arguments[0], int(arguments[1]) if len(arguments) > 1 else 3,
         int(arguments[2]) if len(arguments) > 2 else len(os.sched_getaffinity(0)))
