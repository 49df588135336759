/**
 * Pre-trains the frozen part of the preset `small`: from single pictures of the demo world the whole model learns to say
 * where the target and the goal of the instruction are. The vision-language part is then written in float16; the action
 * expert that learnt with it is thrown away, so that a run begins as one from a published checkpoint does.
 *
 *   node --conditions=@zk0/source tools/pretrain-small/main.ts STATE_DIRECTORY [--frames 8000] [--rounds 38] [--batch 16] [--round-steps 60]
 *
 * It goes on where it was stopped. The same seed, machine and number of threads give the same weights.
 */
import { createHash } from 'node:crypto';
import { appendFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { decodeSafetensors, encodeFloat16, encodeSafetensors, type Learner, type Parameters, type RobotDataset } from '@zk0/core';
import { normalizerFrom } from '@zk0/dataset-so100';
import { openPolicy, type SmolVlaPolicy } from '@zk0/policy-smolvla';
import { presetDirectory, PRESETS } from '@zk0/policy-smolvla/presets';
import { makeFrames } from './frames.ts';

const SEED = 'small-v2';
const LEARNING_RATE = 1.5e-3;
const VLM_PREFIX = 'model.vlm_with_expert.vlm.';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    frames: { type: 'string', default: '8000' },
    rounds: { type: 'string', default: '38' },
    batch: { type: 'string', default: '16' },
    'round-steps': { type: 'string', default: '60' },
    threads: { type: 'string', default: '1' },
  },
});
const [folder] = positionals;
if (folder === undefined) throw new Error('usage: main.ts STATE_DIRECTORY');
const rounds = Number(values.rounds);
const batch = Number(values.batch);
await mkdir(folder, { recursive: true });

const say = async (line: string): Promise<void> => {
  process.stdout.write(`${line}\n`);
  await appendFile(path.join(folder, 'log.txt'), `${line}\n`);
};

const cpuSeconds = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

const held = await makeFrames(400, 'pretrain-held-out', () => undefined);
const train = await makeFrames(Number(values.frames), 'pretrain', (made) => {
  if (made % 2000 < 400) process.stdout.write(`${made} frames\n`);
});
await say(`${train.info.frameCount} frames made, ${cpuSeconds().toFixed(0)} CPU-s`);

const { policy: sizes, vlm, training } = PRESETS['small']!;
const directory = await presetDirectory(
  {
    name: 'small-pretraining',
    version: 1,
    vlm,
    training,
    policy: { ...sizes, chunk_size: 1, n_action_steps: 1, train_expert_only: false, freeze_vision_encoder: false },
  },
  path.resolve(folder),
);
const policy = await openPolicy(directory, {
  device: 'cpu',
  threads: Number(values.threads),
  features: { stateSize: 6, actionSize: train.info.actionNames.length, cameras: train.info.cameras.map(({ key }) => key) },
  cacheDirectory: folder,
});
const normalizer = normalizerFrom(train.info.moments);
const learner = policy.learner(train, { normalizer, cache: 'off' });
const judge = policy.learner(held, { normalizer, cache: 'off' });

const stateFile = path.join(folder, 'state.safetensors');
let round = 0;
let parameters = await policy.initialParameters();
const saved = await readFile(stateFile).catch(() => undefined);
if (saved !== undefined) {
  const { metadata, tensors } = decode(saved);
  round = Number(metadata['round']);
  parameters = tensors;
}
for (; round < rounds; ) {
  // Falls over the whole of pre-training; within a round the policy's own schedule holds.
  const learningRate = LEARNING_RATE * (1 - (0.95 * round) / rounds);
  const seed = `${SEED}-${round}`;
  const fit = await learner.fit(parameters, { round, seed, localSteps: Number(values['round-steps']), batchSize: batch, learningRate, proximalMu: 0 });
  parameters = fit.parameters;
  round++;
  await save(parameters, round);
  if (round % 5 === 0 || round === rounds) {
    await say(`round ${round} of ${rounds}, ${cpuSeconds().toFixed(0)} CPU-s: ${await report(judge, policy, held, parameters)}`);
    await writeTower(parameters);
  }
}
await learner.close();
await judge.close();
await policy.close();

function decode(bytes: Uint8Array): { metadata: Readonly<Record<string, string>>; tensors: Parameters } {
  const { metadata, tensors } = decodeSafetensors(bytes);
  const entries = tensors.map(({ name, shape, data }) => {
    return [name, { shape, data: new Float32Array(Uint8Array.from(data).buffer) }] as const;
  });
  return { metadata, tensors: new Map(entries) };
}

async function save(of: Parameters, after: number): Promise<void> {
  const tensors = [...of].map(([name, { shape, data }]) => ({ name, dtype: 'F32' as const, shape, data: bytesOf(data) }));
  await writeFile(`${stateFile}.new`, encodeSafetensors(tensors, { round: String(after) }));
  await rename(`${stateFile}.new`, stateFile);
}

/** The part that stays: everything of the vision-language model but its unused head, as float16, what training left alone included. */
async function writeTower(of: Parameters): Promise<void> {
  const initial = decode(await readFile(path.join(directory, 'model.safetensors'))).tensors;
  const tensors = [...initial]
    .filter(([name]) => name.startsWith(VLM_PREFIX) && !name.includes('lm_head'))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, before]) => {
      const { shape, data } = of.get(name) ?? before;
      return { name, dtype: 'F16' as const, shape, data: bytesOf(encodeFloat16(data, new Uint16Array(data.length))) };
    });
  const bytes = encodeSafetensors(tensors, { format: 'pt' });
  const file = path.join(folder!, 'small-v2.safetensors');
  await writeFile(file, bytes);
  await say(`${file}: ${bytes.byteLength} bytes, sha256 ${createHash('sha256').update(bytes).digest('hex')}`);
}

function bytesOf(data: Float32Array | Uint16Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** Loss on held-out layouts, and the median distance between answer and truth for the main task. */
async function report(on: Learner, model: SmolVlaPolicy, frames: RobotDataset, of: Parameters): Promise<string> {
  const { loss } = await on.evaluate(of, { seed: 'held', batches: 12, batchSize: batch });
  const actor = await model.actor({ parameters: of, normalizer });
  const errors: [number[], number[], number[]] = [[], [], []];
  for (let frame = 0; frame < 80; frame++) {
    const images = await frames.images(frame, []);
    const [top, wrist] = frames.info.cameras;
    const { actions } = await actor.act(
      { state: frames.state(frame), images: { [top!.key]: images[0]!, [wrist!.key]: images[1]! }, task: frames.task(frame) },
      { seed: `held-${frame}` },
    );
    const truth = frames.actionChunk(frame, 1).actions;
    const off = (from: number, to: number): number => Math.hypot(...Array.from(truth.subarray(from, to), (value, i) => actions[from + i]! - value));
    errors[0].push(off(0, 2));
    errors[1].push(off(3, 5));
    errors[2].push(off(5, 8));
  }
  await actor.close();
  const medians = errors.map((list) => list.sort((a, b) => a - b)[list.length >> 1]!.toFixed(1));
  return `held-out loss ${loss.toFixed(3)}, median error: target ${medians[0]!}, goal ${medians[1]!}, target from hand ${medians[2]!} mm`;
}
