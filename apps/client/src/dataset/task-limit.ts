import { zk0Home } from '@zk0/cli';
import { describeCutTasks, openPolicy } from '@zk0/policy-smolvla';

/** Says which task texts a policy does not read whole. */
export type DescribeTasks = (texts: readonly string[]) => readonly string[];

/** Has `work` done with what a policy says of task texts; without a policy nothing is said. */
export async function withTaskLimit<T>(source: string | undefined, signal: AbortSignal, work: (describe: DescribeTasks | undefined) => Promise<T>): Promise<T> {
  if (source === undefined) return work(undefined);
  const policy = await openPolicy(source, { device: 'cpu', cacheDirectory: zk0Home(), signal });
  try {
    return await work((texts) => describeCutTasks(policy, texts));
  } finally {
    await policy.close();
  }
}
