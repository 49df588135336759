import { fork, type ChildProcess } from 'node:child_process';
import { Random } from '@zk0/core';

/** What the bench asks its server, over the channel between the two processes. */
export interface Ask {
  readonly id: number;
  readonly ask: 'usage' | 'give' | 'all' | 'token';
  readonly value?: string;
}

/** What a process has used so far. */
export interface Usage {
  readonly rssMb: number;
  readonly peakRssMb: number;
  readonly cpuMs: number;
  readonly waiting: number;
  readonly results: number;
}

/** Milliseconds of a clock that all processes of a machine share. */
export function clock(): number {
  return performance.timeOrigin + performance.now();
}

/** A child process that answers questions. */
export class Peer {
  readonly #child: ChildProcess;
  readonly #answers = new Map<number, (answer: unknown) => void>();
  #count = 0;
  readonly url: string;

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.url = url;
    child.on('message', (message) => {
      const { id, answer } = message as { id: number; answer: unknown };
      this.#answers.get(id)?.(answer);
      this.#answers.delete(id);
    });
  }

  /** Starts a script beside this one; its first message is its address. */
  static async start(script: string, ...args: string[]): Promise<Peer> {
    const child = fork(new URL(script, import.meta.url), args);
    const url = await new Promise<string>((resolve, reject) => {
      child.once('message', (message) => { resolve(message as string); });
      child.once('exit', (code) => { reject(new Error(`${script} ended with ${String(code)}`)); });
    });
    return new Peer(child, url);
  }

  ask<T>(ask: Ask['ask'], value?: string): Promise<T> {
    const id = this.#count++;
    return new Promise((resolve) => {
      this.#answers.set(id, (answer) => { resolve(answer as T); });
      this.#child.send({ id, ask, value });
    });
  }

  usage(): Promise<Usage> {
    return this.ask('usage');
  }

  stop(): Promise<void> {
    return new Promise((resolve) => {
      this.#child.once('exit', () => { resolve(); });
      this.#child.disconnect();
    });
  }
}

/** Seeded bytes; the same for the same seed. */
export function content(bytes: number, seed: number): Buffer {
  const random = new Random(seed);
  const words = new Uint32Array(Math.ceil(bytes / 4));
  for (let index = 0; index < words.length; index++) words[index] = random.uint32();
  return Buffer.from(words.buffer, 0, bytes);
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

/** The value that so many of a hundred do not exceed. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil((share / 100) * sorted.length) - 1)]!;
}
