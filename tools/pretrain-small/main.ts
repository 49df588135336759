/**
 * Pre-trains the preset `small`: from single pictures of the demo world the whole model learns to say where the target and the
 * goal of the instruction are, never what to do about them. It is then written in float16, expert included, so that a run begins
 * as one from a published checkpoint does.
 *
 *   node --conditions=@zk0/source tools/pretrain-small/main.ts STATE_DIRECTORY [--frames 12000] [--rounds 100] [--batch 8] [--round-steps 100]
 *     [--peak 1.5e-3] [--rest 0.3] [--other 0.4]
 *
 * It goes on where it was stopped. The same seed, machine and number of threads give the same weights.
 */
import { createHash } from 'node:crypto';
import { appendFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { decodeSafetensors, encodeFloat16, encodeSafetensors, type Parameters, type RobotDataset } from '@zk0/core';
import { normalizerFrom } from '@zk0/dataset-so100';
import { openPolicy } from '@zk0/policy-smolvla';
import { presetDirectory, PRESETS } from '@zk0/policy-smolvla/presets';
import { makeFrames } from './frames.ts';

const SEED = 'small-v3';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    frames: { type: 'string', default: '12000' },
    rounds: { type: 'string', default: '100' },
    batch: { type: 'string', default: '8' },
    'round-steps': { type: 'string', default: '100' },
    /** The learning rate of the first round; it falls to a twentieth over all of them. */
    peak: { type: 'string', default: '1.5e-3' },
    /** Share of frames in which the arm rests. */
    rest: { type: 'string', default: '0.3' },
    /** Share of frames in which the arm moves for another layout. */
    other: { type: 'string', default: '0.4' },
    threads: { type: 'string', default: '1' },
  },
});
const [folder] = positionals;
if (folder === undefined) throw new Error('usage: main.ts STATE_DIRECTORY');
const rounds = Number(values.rounds);
const batch = Number(values.batch);
const shares = { atRest: Number(values.rest), otherLayout: Number(values.other) };
await mkdir(folder, { recursive: true });

const say = async (line: string): Promise<void> => {
  process.stdout.write(`${line}\n`);
  await appendFile(path.join(folder, 'log.txt'), `${line}\n`);
};

const cpuSeconds = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

const held = await makeFrames(240, 'pretrain-held-out', shares, () => undefined);
const resting = await makeFrames(80, 'pretrain-resting', { atRest: 1, otherLayout: 0 }, () => undefined);
const train = await makeFrames(Number(values.frames), 'pretrain', shares, (made) => {
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
  const learningRate = Number(values.peak) * (1 - (0.95 * round) / rounds);
  const seed = `${SEED}-${round}`;
  const fit = await learner.fit(parameters, { round, seed, localSteps: Number(values['round-steps']), batchSize: batch, learningRate, proximalMu: 0 });
  parameters = fit.parameters;
  round++;
  await save(parameters, round);
  if (round % 10 === 0 || round === rounds) {
    await say(`round ${round} of ${rounds}, ${cpuSeconds().toFixed(0)} CPU-s: ${await report(parameters)}`);
    await writeWeights(parameters);
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

/** Everything but the vision-language model's unused head, as float16, what training left alone included. */
async function writeWeights(of: Parameters): Promise<void> {
  const initial = decode(await readFile(path.join(directory, 'model.safetensors'))).tensors;
  const tensors = [...initial]
    .filter(([name]) => !name.includes('lm_head'))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, before]) => {
      const { shape, data } = of.get(name) ?? before;
      return { name, dtype: 'F16' as const, shape, data: bytesOf(encodeFloat16(data, new Uint16Array(data.length))) };
    });
  const bytes = encodeSafetensors(tensors, { format: 'pt' });
  const file = path.join(folder!, 'small-v4.safetensors');
  await writeFile(file, bytes);
  await say(`${file}: ${bytes.byteLength} bytes, sha256 ${createHash('sha256').update(bytes).digest('hex')}`);
}

function bytesOf(data: Float32Array | Uint16Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** Loss on held-out layouts, and the median distance between answer and truth, in millimetres. */
async function report(of: Parameters): Promise<string> {
  const { loss } = await judge.evaluate(of, { seed: 'held', batches: 12, batchSize: batch });
  const actor = await policy.actor({ parameters: of, normalizer });
  const errors = async (frames: RobotDataset, from: number, to: number): Promise<string> => {
    const distances: number[] = [];
    for (let frame = 0; frame < 80; frame++) {
      const images = await frames.images(frame, []);
      const [top, wrist] = frames.info.cameras;
      const { actions } = await actor.act(
        { state: frames.state(frame), images: { [top!.key]: images[0]!, [wrist!.key]: images[1]! }, task: frames.task(frame) },
        { seed: `held-${frame}` },
      );
      const truth = frames.actionChunk(frame, 1).actions;
      distances.push(Math.hypot(...Array.from(truth.subarray(from, to), (value, index) => actions[from + index]! - value)));
    }
    return distances.sort((a, b) => a - b)[distances.length >> 1]!.toFixed(1);
  };
  const line =
    `held-out loss ${loss.toFixed(3)}, median error: target ${await errors(held, 0, 2)}, goal ${await errors(held, 3, 5)}, ` +
    `target from hand ${await errors(held, 5, 8)}, target while the arm rests ${await errors(resting, 0, 2)} mm`;
  await actor.close();
  return line;
}
