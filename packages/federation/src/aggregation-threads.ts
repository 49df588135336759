import { availableParallelism } from 'node:os';
import { WorkerPool } from '@zk0/strategy';

/** Parameters this large are aggregated on worker threads; smaller ones are done before the threads have started. */
const WORKER_PARAMETER_BYTES = 32 * 2 ** 20;
const MAX_WORKERS = 4;

/** The worker threads on which one process aggregates: started when the first parameters are large enough for them. */
export class AggregationThreads {
  #pool: WorkerPool | undefined;

  /** Threads for parameters of this size in bytes; 0 where the calling thread is sooner done. */
  for(byteLength: number): WorkerPool | 0 {
    if (byteLength < WORKER_PARAMETER_BYTES) return 0;
    return (this.#pool ??= new WorkerPool(Math.min(MAX_WORKERS, availableParallelism())));
  }

  async close(): Promise<void> {
    const pool = this.#pool;
    this.#pool = undefined;
    await pool?.close();
  }
}
