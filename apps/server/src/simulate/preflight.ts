import { createProgress, showPhases, zk0Home, type Progress } from '@zk0/cli';
import { InvalidArgumentError, type RobotDatasetInfo } from '@zk0/core';
import { openDataset, requireCameras, type UnitConvention } from '@zk0/dataset-so100';
import { SO100_JOINT_NAMES, TOP_CAMERA, WRIST_CAMERA } from '@zk0/demo-so100';
import { openPolicy, type SmolVlaPolicy } from '@zk0/policy-smolvla';

/** What a simulation needs before it starts anything. */
export interface PreflightOptions {
  readonly policy: string;
  readonly device: string;
  readonly precision: string;
  /** Of clients and held out, as named. */
  readonly datasets: readonly string[];
  readonly units?: UnitConvention | undefined;
}

/** What is known of a dataset without its frames. Of demo recordings, which are not made yet, the number of frames is not known. */
type SeenRecording = Pick<RobotDatasetInfo, 'name' | 'cameras' | 'stateNames' | 'actionNames'> & Partial<Pick<RobotDatasetInfo, 'frameCount'>>;

/** What is known of a policy once it has been opened. */
export type SeenPolicy = Pick<SmolVlaPolicy, 'config' | 'device' | 'trainingDefaults'>;

/** The policy and the recordings of a simulation, by address. */
export interface SeenRecordings {
  readonly policy: SeenPolicy;
  of(uri: string): SeenRecording;
  /** Those of the renamings that one of these datasets has a camera for. */
  renamesOf(rename: Readonly<Record<string, string>>, uris: readonly string[]): Readonly<Record<string, string>>;
}

/**
 * Finds out before anything is started whether the device, the policy and the recordings can be used. Demo recordings are not made
 * for it: the clients make them side by side.
 *
 * @throws Zk0Error, whatever is wrong with them; InvalidArgumentError for recordings of several sizes
 */
export async function preflight(options: PreflightOptions, signal: AbortSignal): Promise<SeenRecordings> {
  const progress = createProgress();
  try {
    const policy = await openOnce(options, progress, signal);
    const seen = await seeAll(options, progress, signal);
    const of = (uri: string): SeenRecording => seen.get(uri) ?? demoRecording(uri);
    return {
      policy,
      of,
      renamesOf: (rename, uris) => Object.fromEntries(Object.entries(rename).filter(([from]) => uris.some((uri) => of(uri).cameras.some(({ key }) => key === from)))),
    };
  } finally {
    progress.finish();
  }
}

async function openOnce({ policy: source, device, precision }: PreflightOptions, progress: Progress, signal: AbortSignal): Promise<SeenPolicy> {
  const onPhase = showPhases(progress, source);
  const policy = await openPolicy(source, {
    device,
    precision,
    cacheDirectory: zk0Home(),
    signal,
    onProgress: ({ phase, step, totalSteps }) => {
      onPhase({ phase, done: step, total: totalSteps });
    },
  });
  const { config, device: found, trainingDefaults } = policy;
  await policy.close();
  return { config, device: found, trainingDefaults };
}

async function seeAll({ datasets, units }: PreflightOptions, progress: Progress, signal: AbortSignal): Promise<ReadonlyMap<string, SeenRecording>> {
  const seen = new Map<string, SeenRecording>();
  for (const uri of datasets) {
    if (uri.startsWith('demo:')) {
      seen.set(uri, demoRecording(uri));
      continue;
    }
    const dataset = await openDataset(uri, { cacheDirectory: zk0Home(), signal, onProgress: showPhases(progress, uri), ...(units === undefined ? {} : { units }) });
    await dataset.close();
    requireCameras(dataset.info);
    seen.set(uri, dataset.info);
  }
  assertOneSize([...seen]);
  return seen;
}

function demoRecording(uri: string): SeenRecording {
  const cameras = [TOP_CAMERA, WRIST_CAMERA].map((key) => ({ key, width: 0, height: 0 }));
  return { name: uri, cameras, stateNames: SO100_JOINT_NAMES, actionNames: SO100_JOINT_NAMES };
}

/** One model takes them all: clients whose recordings are of another size would be waited for in vain. */
function assertOneSize([first, ...others]: readonly (readonly [string, SeenRecording])[]): void {
  for (const other of others) {
    if (other[1].stateNames.length === first![1].stateNames.length && other[1].actionNames.length === first![1].actionNames.length) continue;
    const words = ([uri, { stateNames, actionNames }]: readonly [string, SeenRecording]): string =>
      `${uri} has ${stateNames.length} state values and ${actionNames.length} actions`;
    throw new InvalidArgumentError(`${words(first!)}, ${words(other)}: one model cannot take both`, {
      hint: 'Choose recordings of one kind of robot, for clients and for --held-out.',
    });
  }
}
