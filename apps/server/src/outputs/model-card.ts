import { aggregatedMetrics } from './reports.ts';
import type { RoundRecord, RunInfo } from './types.ts';

/** What a model card is made from. */
export interface ModelCardInput {
  readonly run: RunInfo;
  /** All rounds up to the one that the checkpoint holds. */
  readonly rounds: readonly RoundRecord[];
  /** Preset, path or `hf:` address of the policy that training started from. */
  readonly basePolicy: string;
  /** `trained`: the frozen weights are not beside the card. */
  readonly form: 'full' | 'trained';
  readonly parameters: { readonly total: number; readonly trained: number };
  readonly strategy: string;
  /** Optimiser settings that were used: steps, batch size, learning rate, μ. */
  readonly training: Readonly<Record<string, string | number>>;
  readonly features: {
    readonly stateNames: readonly string[];
    readonly actionNames: readonly string[];
    readonly cameras: readonly string[];
  };
}

/**
 * `README.md` of a checkpoint: what it was trained and evaluated on, how, how well, and what nobody knows about it. It
 * says nothing that the run did not measure. Names that clients chose are escaped: they must not become markup.
 */
export function modelCard(input: ModelCardInput): string {
  const { run, rounds } = input;
  const last = rounds.at(-1)?.round ?? 0;
  const trained = run.datasets.filter(({ role }) => role === 'train');
  const heldOut = run.datasets.filter(({ role }) => role === 'held-out');
  const sections = [
    frontMatter(input),
    `# SmolVLA, trained federatedly: round ${last}`,
    [
      `A vision-language-action policy after ${last} federated ${last === 1 ? 'round' : 'rounds'} of fine-tuning from`,
      `${code(input.basePolicy)}. The recordings stayed with those who made them: a server aggregated updates of weights only.`,
    ].join(' '),
    ...(input.form === 'full' ? [] : [TRAINED_ONLY]),
    '## Training data',
    trained.length === 0 ? 'None yet: these are the initial parameters.' : datasetTable(trained, true),
    '## Training',
    bullets([
      ['Run', code(run.runId)],
      ['Strategy', code(input.strategy)],
      ['Parameters', `${input.parameters.trained.toLocaleString('en')} trained of ${input.parameters.total.toLocaleString('en')}`],
      ...Object.entries(input.training).map(([name, value]) => [name, String(value)] as const),
      ['Robot state', input.features.stateNames.map(code).join(', ')],
      ['Action', input.features.actionNames.map(code).join(', ')],
      ['Cameras', input.features.cameras.map(code).join(', ')],
      ['Versions', Object.entries(run.versions).map(([name, version]) => `${name} ${version}`).join(', ')],
    ]),
    '## Evaluation',
    evaluation(rounds, heldOut),
    '## Rounds',
    roundTable(rounds),
    '## Limits',
    limits(rounds, heldOut, input.strategy),
  ];
  return `${sections.join('\n\n')}\n`;
}

const TRAINED_ONLY = [
  'Only the trained weights are here. `zk0-server checkpoint <this directory> --form full --out <new directory>` joins them with',
  'their frozen base to what LeRobot loads.',
].join(' ');

function frontMatter({ features, form }: ModelCardInput): string {
  return [
    '---',
    'license: apache-2.0',
    ...(form === 'full' ? ['library_name: lerobot'] : []),
    'pipeline_tag: robotics',
    'tags:',
    ...['robotics', 'smolvla', 'federated-learning', 'zk0'].map((tag) => `  - ${tag}`),
    // A quick check for whoever looks for a policy that fits an arm.
    `action_dim: ${features.actionNames.length}`,
    '---',
  ].join('\n');
}

function datasetTable(datasets: RunInfo['datasets'], withClient: boolean): string {
  const header = withClient ? ['client', 'dataset', 'episodes', 'frames'] : ['dataset', 'episodes', 'frames'];
  return markdownTable(
    header,
    datasets.map(({ clientId, name, episodes, frames }) => [
      ...(withClient ? [code(clientId ?? '?')] : []),
      code(name),
      String(episodes),
      String(frames),
    ]),
  );
}

function evaluation(rounds: readonly RoundRecord[], heldOut: RunInfo['datasets']): string {
  const evaluated = rounds.filter(({ server }) => server !== null);
  const last = evaluated.at(-1);
  if (last?.server == null) return 'Not evaluated on held-out data.';
  const first = evaluated[0]!;
  return [
    'Flow-matching loss (lower is better) on recordings that nobody trained on:',
    datasetTable(heldOut, false),
    markdownTable(
      ['held-out dataset', `round ${first.round}`, `round ${last.round}`, 'samples'],
      [
        ...last.server.datasets.map((dataset) => [
          code(dataset.name),
          loss(first.server?.datasets.find(({ name }) => name === dataset.name)?.policyLoss),
          loss(dataset.policyLoss),
          String(dataset.samples),
        ]),
        ['together', loss(first.server?.policyLoss), loss(last.server.policyLoss), String(last.server.totalSamples)],
      ],
    ),
  ].join('\n\n');
}

/** More rounds than this are thinned out in the card; `metrics.json` has them all. */
const MAX_ROUND_ROWS = 50;

function roundTable(rounds: readonly RoundRecord[]): string {
  const every = Math.ceil(rounds.length / MAX_ROUND_ROWS);
  const shown = rounds.filter((_, index) => index % every === 0 || index === rounds.length - 1);
  return markdownTable(
    ['round', 'clients', 'mean client loss', 'held-out loss'],
    shown.map((record) => [
      record.skipped === undefined ? String(record.round) : `${record.round} (skipped)`,
      String(record.clients.length),
      loss(aggregatedMetrics(record)['avg_client_loss']),
      loss(record.server?.policyLoss),
    ]),
  );
}

function limits(rounds: readonly RoundRecord[], heldOut: RunInfo['datasets'], strategy: string): string {
  const noise = strategy.startsWith('dp-') ? `noise was added as ${code(strategy)} says` : 'no differential privacy was applied';
  const items = [
    'The loss is measured on recordings. No success rate on a robot was measured: try it slowly, with a hand on the switch.',
    'It knows the cameras, scenes and tasks of the datasets above, and may fail on any other.',
    `Federated training keeps recordings private, not the weights: what can be inferred from weights was not studied, and ${noise}.`,
  ];
  if (heldOut.length === 0) items.push('No held-out data was given, so nothing is known about tasks outside the training data.');
  const skipped = rounds.filter((record) => record.skipped !== undefined).length;
  if (skipped > 0) items.push(`${skipped} ${skipped === 1 ? 'round was' : 'rounds were'} skipped for want of updates.`);
  return items.map((item) => `- ${item}`).join('\n');
}

function bullets(items: readonly (readonly [string, string])[]): string {
  return items.map(([name, value]) => `- **${escape(name)}**: ${value}`).join('\n');
}

function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}

function loss(value: number | undefined): string {
  return value === undefined ? '–' : value.toFixed(4);
}

/** Text of others as inline code. */
function code(text: string): string {
  const flat = text.replace(/[\p{Cc}\p{Cs}`|]/gu, ' ').trim();
  return flat === '' ? '–' : `\`${flat}\``;
}

function escape(text: string): string {
  return text.replace(/[\p{Cc}\p{Cs}]/gu, ' ').replace(/[\\`*_{}[\]()#+!|<>]/g, '\\$&');
}
