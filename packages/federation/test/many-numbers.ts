import { Random, type Parameters, type RunConfig, type RunConfigInput, type RunState } from '@zk0/core';
import { readParameters } from '@zk0/storage';
import type { FederatedModel, LocalModel } from '../src/index.ts';
import type { TestFederation } from './harness.ts';
import { config } from './two-numbers.ts';

export const COUNT = 2000;

const normal = (seed: string): Float32Array => new Random(seed).fillNormal(new Float32Array(COUNT));
export const vector = (data: Float32Array): Parameters => new Map([['w', { shape: [COUNT], data }]]);
export const initial = vector(normal('initial'));

/** Many numbers, of which clients move towards their own. */
export const many: FederatedModel = {
  describeClient: () => ({ label: 'many', numExamples: 10 }),
  openRun: () => Promise.resolve({
    trainingDefaults: { localSteps: 1, batchSize: 1, learningRate: 0.3 },
    start: () => Promise.resolve({ parameters: initial, context: { run: {} } }),
    saveCheckpoint: (_path, round) => Promise.resolve(`checkpoint_${round}`),
  }),
};

/** @param before what happens in a round before its training ends. */
export function client(id: string, before: (round: number, global: Float32Array) => Promise<void> = () => Promise.resolve()): LocalModel {
  const target = normal(`target ${id}`);
  return {
    profile: () => ({}),
    fit: async ({ fit: { round, learningRate } }, global) => {
      const { data } = global.get('w')!;
      await before(round, data);
      return { parameters: vector(data.map((value, index) => value + learningRate * (target[index]! - value))), numExamples: 10, metrics: { loss: 1 } };
    },
  };
}

export const run = (rounds: number, more: RunConfigInput): RunConfig => config({ rounds, minClients: 2, ...more });

/** The run of clients c0, c1, … that nobody disturbs. */
export async function undisturbed(made: TestFederation, rounds: number, more: RunConfigInput): Promise<RunState> {
  const settings = run(rounds, more);
  for (let index = 0; index < settings.minClients; index++) await made.join(`c${index}`, client(`c${index}`));
  return made.ends(await made.coordinator.submit(settings));
}

/** A blob of parameters; the newest of a run unless another is named. */
export async function weights(made: TestFederation, { parameters }: RunState, blob = parameters!): Promise<Float32Array> {
  return (await readParameters(await made.blobs.verifiedFile(blob))).get('w')!.data;
}

export interface AcceptedUpdate {
  readonly clientId: string;
  readonly hash: string;
  readonly byteLength: number;
  readonly metrics: Readonly<Record<string, number>>;
}

/** The updates that were accepted, in order. */
export function updates({ rounds }: RunState): AcceptedUpdate[] {
  return rounds.flatMap(({ participants }) =>
    [...participants].flatMap(([clientId, { outcome }]) => (outcome.state === 'accepted' ? [{ clientId, metrics: outcome.metrics, ...outcome.update }] : [])),
  );
}

export const hashesOf = (state: RunState): string[] => updates(state).map(({ hash }) => hash);

export const farthest = (a: Float32Array, b: Float32Array): number => a.reduce((most, value, index) => Math.max(most, Math.abs(value - b[index]!)), 0);
