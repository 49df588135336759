import { createHash } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errorMessage, InvalidArgumentError, Zk0Error, type TensorSource, type TensorSpec } from '@zk0/core';
import { openSafetensors, writeTensors, type SafetensorsFile } from '@zk0/storage';

/** Which residual a task is about. In another run it means nothing. */
export interface ResidualPosition {
  readonly runId: string;
  readonly round: number;
  /** The last update of this client that the server counted, which names what it left over; `null`: none yet, nothing is left over. */
  readonly last: { readonly round: number; readonly hash: string } | null;
}

/** What is left over of the updates before. */
export interface OpenResidual {
  /** `null` for zeros. */
  readonly residual: SafetensorsFile | null;
  /** Why it is zero although the server counted an update. */
  readonly lost?: string;
}

/** A file that an update made: `<round>-<hash of the update>.safetensors`. */
const FILE = /^(?<round>\d{1,15})-(?<hash>[0-9a-f]{64})\.safetensors$/;

/**
 * What rounding left over of a client's updates, on disk from round to round of one run, to be added to the next update.
 *
 * As with {@link ControlStore}, the server's ledger alone says which residual holds: a round writes its own beside the one that it read,
 * named by the update that is sent, and every task names the last update that counted. So each instant of a crash leaves a consistent state:
 *
 * - before the new residual has its name, the round is trained anew from the old one, to the same bytes;
 * - when the update was refused, was late, or its round did not count, the next task names the older update, whose file is still there;
 * - when the server counted it, whether or not its answer arrived, the next task names the new one, which was forced to disk before
 *   anything was sent;
 * - a file of the current round is never removed: it may be trained twice, and either of the two updates may count.
 *
 * A file that is gone, damaged or of other tensors is reported as lost, and the residual begins with zero: what was left over of the
 * updates until then, less than a step of each value, is never sent.
 */
export class ResidualStore {
  readonly #directory: string;
  readonly #clientId: string;

  constructor(directory: string, clientId: string) {
    this.#directory = directory;
    this.#clientId = clientId;
  }

  /** Opens the residual that holds, and removes what no task can ask for any more: other runs' files, and those of other rounds. */
  async open(position: ResidualPosition, specs: readonly TensorSpec[]): Promise<OpenResidual> {
    const { round, last } = position;
    const directory = this.#of(position);
    await mkdir(directory, { recursive: true });
    for (const name of await readdir(this.#directory)) {
      const path = join(this.#directory, name);
      if (path !== directory) await rm(path, { recursive: true, force: true });
    }
    const wanted = last === null ? undefined : fileName(last.round, last.hash);
    for (const name of await readdir(directory)) {
      if (name === wanted || FILE.exec(name)?.groups?.['round'] === String(round)) continue;
      await rm(join(directory, name), { force: true });
    }
    if (wanted === undefined) return { residual: null };
    try {
      return { residual: await openChecked(join(directory, wanted), this.#metadata(position), specs) };
    } catch (error) {
      if (!(error instanceof Zk0Error)) throw error;
      return { residual: null, lost: errorMessage(error) };
    }
  }

  /** Keeps what an update left over, for when the server counts it. Call it before the update is sent. */
  async save(position: ResidualPosition, updateHash: string, residual: TensorSource): Promise<void> {
    await writeTensors(join(this.#of(position), fileName(position.round, updateHash)), residual, this.#metadata(position));
  }

  /** Forgets everything: a run whose updates are not rounded has begun. */
  async clear(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** Run ids come from the server: they never name a folder themselves. */
  #of(position: ResidualPosition): string {
    return join(this.#directory, createHash('sha256').update(JSON.stringify(this.#metadata(position))).digest('hex').slice(0, 32));
  }

  #metadata({ runId }: ResidualPosition): Record<string, string> {
    return { run: runId, client: this.#clientId };
  }
}

function fileName(round: number, hash: string): string {
  return `${round}-${hash}.safetensors`;
}

async function openChecked(path: string, metadata: Readonly<Record<string, string>>, specs: readonly TensorSpec[]): Promise<SafetensorsFile> {
  const file = await openSafetensors(path);
  const isOwn = Object.entries(metadata).every(([key, value]) => file.metadata[key] === value);
  if (isOwn && JSON.stringify(file.specs) === JSON.stringify(specs)) return file;
  await file.close();
  throw new InvalidArgumentError(`${path} belongs to another run or model`);
}
