import { setTimeout as wait } from 'node:timers/promises';
import { startProgram, type RunningProgram } from '../cli.ts';

/** A `zk0-server start` that is started again whenever it has ended, as systemd does it. */
export class SupervisedServer {
  readonly port: number;
  readonly out: string;
  readonly #start: () => RunningProgram;
  #program: RunningProgram;
  #isClosing = false;
  #ended: Promise<void>;

  constructor(port: number, out: string, args: readonly string[], home: string) {
    this.port = port;
    this.out = out;
    this.#start = () => startProgram('server', ['start', '--port', String(port), '--out', out, '--device', 'cpu', ...args], home);
    this.#program = this.#start();
    this.#ended = this.#supervise();
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Everything that the running process has said. */
  get output(): string {
    return this.#program.stdout() + this.#program.stderr();
  }

  /** Resolves when it listens; at once where it does already. */
  async ready(): Promise<void> {
    while (!(await fetch(`${this.url}/health`).then(({ ok }) => ok, () => false))) await wait(100);
  }

  kill(): void {
    this.#program.child.kill('SIGKILL');
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    this.#program.child.kill('SIGTERM');
    await this.#ended;
  }

  async #supervise(): Promise<void> {
    for (;;) {
      await this.#program.exited;
      if (this.#isClosing) return;
      this.#program = this.#start();
    }
  }
}
