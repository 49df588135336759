import { InvalidArgumentError } from '@zk0/core';
import { formatEpisodeList, partitionEpisodes, type PartitionEpisode, type PartitionScheme } from '@zk0/dataset-so100';

/** Who trains on what in a simulation, and what nobody trains on. */
export interface SimulationPlan {
  /** One dataset URI per client. */
  readonly clients: readonly string[];
  readonly heldOut: readonly string[];
}

/** What a simulation was asked for. */
export interface SimulationRequest {
  readonly clients: number;
  readonly datasets: readonly string[];
  readonly heldOut: readonly string[];
  /** Episodes at the end of each dataset that nobody trains on, when no held-out dataset is named. */
  readonly holdOutEpisodes: number;
  /** How the episodes of one dataset are given to the clients; default `modulo`. */
  readonly split?: PartitionScheme;
  readonly seed: number;
}

/** What the plan has to know of the world of datasets. */
export interface DatasetCatalogue {
  /** Names of the demo tasks. */
  readonly demoTasks: readonly string[];
  /** The episodes of a dataset, without opening its frames. */
  episodes(uri: string): Promise<readonly PartitionEpisode[]>;
}

/** Episodes in a demo dataset: enough for a loss to fall, few enough to render in seconds. */
const DEMO_EPISODES = 10;

/**
 * Decides the datasets of a simulation (see {@link parseSplit} for how one dataset is divided):
 * no dataset: each client its own demo task and scene, one more task held out;
 * one dataset: its episodes split between the clients, the last ones held out;
 * one per client: each its own, the last episodes of each held out, unless held-out datasets are named.
 *
 * @throws InvalidArgumentError when the numbers do not fit.
 */
export async function planSimulation(request: SimulationRequest, catalogue: DatasetCatalogue): Promise<SimulationPlan> {
  const { clients, datasets, heldOut, seed } = request;
  if (request.split !== undefined && datasets.length !== 1) {
    throw new InvalidArgumentError('--split divides one dataset between the clients', { hint: 'Name one dataset, or leave --split out.' });
  }
  if (request.split?.kind === 'size' && request.split.weights.length !== clients) {
    throw new InvalidArgumentError(`--split size has ${request.split.weights.length} weights for ${clients} clients`, {
      hint: 'Write one weight a client.',
    });
  }
  if (datasets.length === 0) {
    const demo = (index: number, episodes: number): string => {
      const task = catalogue.demoTasks[index % catalogue.demoTasks.length]!;
      return `demo:${task}?episodes=${episodes}&seed=${seed + index}`;
    };
    return {
      clients: Array.from({ length: clients }, (_, index) => demo(index, DEMO_EPISODES)),
      heldOut: heldOut.length > 0 ? heldOut : [demo(clients, Math.ceil(DEMO_EPISODES / 2))],
    };
  }
  if (datasets.length === 1) {
    const [uri] = datasets as [string];
    const holdOut = heldOut.length > 0 ? 0 : request.holdOutEpisodes;
    const { split: scheme } = request;
    const split = partitionEpisodes(await catalogue.episodes(uri), { clients, holdOut, ...(scheme === undefined ? {} : { scheme }) });
    return {
      clients: split.clients.map((episodes) => selectEpisodes(uri, episodes)),
      heldOut: heldOut.length > 0 ? heldOut : chosen(uri, split.heldOut),
    };
  }
  if (datasets.length !== clients) {
    throw new InvalidArgumentError(`${datasets.length} datasets for ${clients} clients`, {
      hint: 'Name one dataset (its episodes are split) or exactly one per client.',
    });
  }
  // All of a dataset keeps its own address, so that what was cached for it elsewhere is found.
  if (heldOut.length > 0 || request.holdOutEpisodes === 0) return { clients: datasets, heldOut };
  const splits = await Promise.all(
    datasets.map(async (uri) => ({
      uri,
      ...partitionEpisodes(await catalogue.episodes(uri), { clients: 1, holdOut: request.holdOutEpisodes }),
    })),
  );
  return {
    clients: splits.map(({ uri, clients: [own] }) => selectEpisodes(uri, own!)),
    heldOut: splits.flatMap(({ uri, heldOut: rest }) => chosen(uri, rest)),
  };
}

/** The address of the chosen episodes; none when none are chosen. */
function chosen(uri: string, episodes: readonly number[]): string[] {
  return episodes.length === 0 ? [] : [selectEpisodes(uri, episodes)];
}

/**
 * Reads how to split: `modulo`, `task`, `size=3,2,1` (one weight a client) or `dirichlet=0.5` (alpha).
 *
 * @param seed fixes what is drawn
 * @throws InvalidArgumentError
 */
export function parseSplit(text: string, seed: number): PartitionScheme {
  const [kind, ...values] = text.split(/[=,]/);
  const numbers = values.map((value) => (value.trim() === '' ? NaN : Number(value)));
  const arePositive = numbers.every((value) => value > 0 && Number.isFinite(value));
  if (kind === 'modulo' && numbers.length === 0) return { kind };
  if (kind === 'task' && numbers.length === 0) return { kind };
  if (kind === 'size' && numbers.length > 0 && arePositive) return { kind, weights: numbers };
  if (kind === 'dirichlet' && numbers.length === 1 && arePositive) return { kind, alpha: numbers[0]!, seed: String(seed) };
  throw new InvalidArgumentError(`--split ${text} is not understood`, {
    hint: 'Write modulo, task, size=3,2,1 (one weight a client) or dirichlet=0.5.',
  });
}

/** The address of some episodes of a dataset; replaces a choice that the address makes already. */
export function selectEpisodes(uri: string, episodes: readonly number[]): string {
  const isDemo = uri.startsWith('demo:');
  const key = isDemo ? 'select' : 'episodes';
  const stripped = uri.replace(new RegExp(`([?&])${key}=[^&]*&?`), '$1').replace(/[?&]$/, '');
  return `${stripped}${isDemo && stripped.includes('?') ? '&' : '?'}${key}=${formatEpisodeList(episodes)}`;
}
