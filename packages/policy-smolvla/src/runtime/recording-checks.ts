import { openPolicy } from '../open-policy.ts';
import type { OpenPolicyOptions, SmolVlaPolicy } from '../policy.ts';
import { describeCutTasks } from '../processing/cut-tasks.ts';
import type { DeviceAttention, DeviceCheck } from './device-checks.ts';

/** What a policy says of recordings, for whoever opens them. */
export interface PolicyJudge {
  readonly directory: string;
  readonly checkRecordings: SmolVlaPolicy['checkRecordings'];
  readonly describeTasks: (tasks: readonly string[]) => readonly string[];
}

/** What trying recordings gave. */
interface Tried {
  readonly summary: string;
  readonly notes: readonly string[];
}

/**
 * Questions about recordings, as `doctor` commands ask them: whether they open, and whether a policy takes them.
 *
 * @param source of the policy; undefined to look at the recordings alone
 * @param attempt opens the recordings and has the judge look at them
 */
export function recordingChecks(
  source: string | undefined,
  uris: readonly string[],
  options: Pick<OpenPolicyOptions, 'cacheDirectory'>,
  attempt: (uri: string, judge: PolicyJudge | undefined) => Promise<Tried>,
): DeviceCheck[] {
  const checks = uris.map((uri): DeviceCheck => ({ name: `dataset ${uri}`, find: async () => found(await withPolicy(source, options, (judge) => attempt(uri, judge))) }));
  if (source === undefined) return checks;
  const takes = (policy: SmolVlaPolicy): string =>
    policy.features === undefined ? 'takes the sizes and cameras of the recordings' : `${policy.features.stateSize} state values, ${policy.features.actionSize} actions, cameras ${policy.features.cameras.join(', ')}`;
  return [{ name: `policy ${source}`, find: () => opened(source, options, (policy) => Promise.resolve(takes(policy))) }, ...checks];
}

function found({ summary, notes }: Tried): string | DeviceAttention {
  return notes.length === 0 ? summary : { attention: `${summary}; ${notes.join('; ')}`, hint: 'Look at them with `zk0-client dataset inspect`.' };
}

async function withPolicy<T>(source: string | undefined, options: Pick<OpenPolicyOptions, 'cacheDirectory'>, work: (judge: PolicyJudge | undefined) => Promise<T>): Promise<T> {
  if (source === undefined) return work(undefined);
  return opened(source, options, (policy) =>
    work({
      directory: policy.directory,
      // A preset takes what it finds.
      checkRecordings: (recordings) => {
        if (policy.features !== undefined) policy.checkRecordings(recordings);
      },
      describeTasks: (tasks) => describeCutTasks(policy, tasks),
    }),
  );
}

async function opened<T>(source: string, options: Pick<OpenPolicyOptions, 'cacheDirectory'>, work: (policy: SmolVlaPolicy) => Promise<T>): Promise<T> {
  const policy = await openPolicy(source, { ...options, device: 'cpu' });
  try {
    return await work(policy);
  } finally {
    await policy.close();
  }
}
