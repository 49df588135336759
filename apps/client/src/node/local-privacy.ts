import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { encodeParameters, InvalidArgumentError, runContextSchema, Zk0Error, type FitOptions, type FitResult, type JsonObject, type Parameters, type StepProgress } from '@zk0/core';
import type { LocalModel, LocalTask } from '@zk0/federation';
import { readJsonFile, writeFileAtomic } from '@zk0/storage';
import { clipAndNoise, createNoiseSecret, localPrivacySpent, NOISE_SECRET_BYTES } from '@zk0/strategy';
import * as z from 'zod';

/** The δ that ε is stated for. */
export const LOCAL_DELTA = 1e-5;

/** What a node asks for with `--local-clip` and `--local-noise`. */
export interface LocalPrivacy {
  /** C: an update's length is at most this. */
  readonly clippingNorm: number;
  /** z: the noise on each value has standard deviation z·C. */
  readonly noiseMultiplier: number;
}

/** @throws InvalidArgumentError when only one of the two is given, or one is no positive number */
export function parseLocalPrivacy(clip: number | undefined, noise: number | undefined): LocalPrivacy | undefined {
  if (clip === undefined && noise === undefined) return undefined;
  for (const [flag, value] of [['--local-clip', clip], ['--local-noise', noise]] as const) {
    if (value === undefined || !(value > 0 && Number.isFinite(value))) {
      throw new InvalidArgumentError(value === undefined ? `${flag} is missing` : `${flag} ${value} is no positive number`, {
        hint: 'Give both: --local-clip C bounds how far an update goes, --local-noise Z adds noise of Z × C to every value.',
      });
    }
  }
  return { clippingNorm: clip!, noiseMultiplier: noise! };
}

const stateSchema = z.strictObject({
  /** What the noise is derived from, in base64; it never leaves this machine. */
  secret: z.base64().length(Math.ceil(NOISE_SECRET_BYTES / 3) * 4),
  /** How many updates have been made with which z, over all runs. */
  updates: z.array(z.strictObject({ noiseMultiplier: z.number().positive(), count: z.int().min(1) })).max(1000),
  /** The last of them. */
  last: z.string().max(300),
});
type State = z.infer<typeof stateSchema>;

function counted(updates: State['updates'], noiseMultiplier: number): State['updates'] {
  const before = updates.find((each) => each.noiseMultiplier === noiseMultiplier);
  const count = (before?.count ?? 0) + 1;
  return [...updates.filter((each) => each !== before), { noiseMultiplier, count }];
}

/**
 * A model whose updates are made private before they leave this machine (`clipAndNoise`). What else a result says of the recordings, its
 * losses and norms, stays here.
 */
export class LocallyPrivateModel implements LocalModel {
  readonly #model: LocalModel;
  readonly #privacy: LocalPrivacy;
  readonly #file: string;
  readonly #say: (line: string) => void;

  /**
   * @param directory - the node's state; secret and count are kept there
   * @param say - told what has been spent, after each update
   */
  constructor(model: LocalModel, privacy: LocalPrivacy, directory: string, say: (line: string) => void) {
    this.#model = model;
    this.#privacy = privacy;
    this.#file = join(directory, 'local-privacy.json');
    this.#say = say;
  }

  profile(): JsonObject {
    return this.#model.profile();
  }

  /** @throws Zk0Error `TASK_REFUSED` where more than the trained parameters would leave, as with SCAFFOLD, or factors of them */
  async fit(task: LocalTask, global: Parameters, options: FitOptions): Promise<FitResult> {
    if (options.correction !== undefined) {
      throw new Zk0Error('TASK_REFUSED', 'the strategy asks for mean gradients too, which local privacy does not cover', {
        hint: 'Join a run with another strategy than scaffold, or start without --local-noise.',
      });
    }
    if (runContextSchema.safeParse(task.context).data?.policy.lora !== undefined) {
      throw new Zk0Error('TASK_REFUSED', 'the run sends factors of low rank, and noise on what they make cannot be factored', {
        hint: 'Join a run without --lora-rank, or start without --local-noise.',
      });
    }
    const { onProgress, ...rest } = options;
    const hooks = onProgress === undefined ? rest : { ...rest, onProgress: ({ phase, step, totalSteps }: StepProgress) => { onProgress({ phase, step, totalSteps }); } };
    const { parameters, numExamples } = await this.#model.fit(task, global, hooks);
    const noised = await this.#noised(`${task.runId}/${task.fit.round}`, parameters, global);
    return { parameters: noised, numExamples, metrics: {} };
  }

  /** The noise is another one for other bytes: two updates with the same noise would tell their difference. */
  async #noised(round: string, update: Parameters, global: Parameters): Promise<Parameters> {
    const state = await this.#state();
    const purpose = `${round}/${createHash('sha256').update(encodeParameters(update)).digest('hex')}`;
    const noised = await clipAndNoise(update, global, { ...this.#privacy, secret: Buffer.from(state.secret, 'base64'), purpose });
    // The same update again, after a crash, tells nothing new. It is counted before it leaves.
    const updates = state.last === purpose ? state.updates : counted(state.updates, this.#privacy.noiseMultiplier);
    await this.#save({ ...state, updates, last: purpose });
    const total = updates.reduce((sum, { count }) => sum + count, 0);
    const epsilon = localPrivacySpent(updates.map(({ noiseMultiplier, count }) => ({ noiseMultiplier, rounds: count })), LOCAL_DELTA);
    this.#say(`local privacy: ε ${epsilon.toPrecision(3)} (δ ${LOCAL_DELTA}) after ${total} ${total === 1 ? 'update' : 'updates'} of this node`);
    return noised;
  }

  async #state(): Promise<State> {
    try {
      return await readJsonFile(this.#file, stateSchema);
    } catch (error) {
      if ((error as Partial<Zk0Error>).code !== 'FILE_NOT_FOUND') throw error;
      return { secret: Buffer.from(createNoiseSecret()).toString('base64'), updates: [], last: '' };
    }
  }

  async #save(state: State): Promise<void> {
    await writeFileAtomic(this.#file, `${JSON.stringify(state)}\n`, { mode: 0o600 });
  }
}
