import { InvalidArgumentError } from '@zk0/core';
import { formatEpisodeList, partitionEpisodes, type PartitionEpisode } from '@zk0/dataset-so100';

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
 * Decides the datasets of a simulation:
 * no dataset: each client its own demo task and scene, one more task held out;
 * one dataset: its episodes split between the clients, the last ones held out;
 * one per client: each its own, the last episodes of each held out, unless held-out datasets are named.
 *
 * @throws InvalidArgumentError when the numbers do not fit.
 */
export async function planSimulation(request: SimulationRequest, catalogue: DatasetCatalogue): Promise<SimulationPlan> {
  const { clients, datasets, heldOut, seed } = request;
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
    const split = partitionEpisodes(await catalogue.episodes(uri), { clients, holdOut });
    return {
      clients: split.clients.map((episodes) => selectEpisodes(uri, episodes)),
      heldOut: heldOut.length > 0 ? heldOut : [selectEpisodes(uri, split.heldOut)],
    };
  }
  if (datasets.length !== clients) {
    throw new InvalidArgumentError(`${datasets.length} datasets for ${clients} clients`, {
      hint: 'Name one dataset (its episodes are split) or exactly one per client.',
    });
  }
  if (heldOut.length > 0) return { clients: datasets, heldOut };
  const splits = await Promise.all(
    datasets.map(async (uri) => ({
      uri,
      ...partitionEpisodes(await catalogue.episodes(uri), { clients: 1, holdOut: request.holdOutEpisodes }),
    })),
  );
  return {
    clients: splits.map(({ uri, clients: [own] }) => selectEpisodes(uri, own!)),
    heldOut: splits.map(({ uri, heldOut: rest }) => selectEpisodes(uri, rest)),
  };
}

/** The address of some episodes of a dataset; replaces a choice that the address makes already. */
export function selectEpisodes(uri: string, episodes: readonly number[]): string {
  const isDemo = uri.startsWith('demo:');
  const key = isDemo ? 'select' : 'episodes';
  const stripped = uri.replace(new RegExp(`([?&])${key}=[^&]*&?`), '$1').replace(/[?&]$/, '');
  return `${stripped}${isDemo && stripped.includes('?') ? '&' : '?'}${key}=${formatEpisodeList(episodes)}`;
}
