import { code, escape, markdownTable, quoted } from './markdown.ts';
import { aggregatedMetrics, bestOf } from './reports.ts';
import { NOT_TRIED } from './success-card.ts';
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
  /** Name of a picture of the losses beside the card. */
  readonly chart?: string;
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
    '## Use it',
    usage(input),
    '## Training data',
    trained.length === 0 ? 'None yet: these are the initial parameters.' : contributions(trained, rounds),
    '## Training',
    bullets([
      ['Run', code(run.runId)],
      ...hashes(input),
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
    '## Success',
    NOT_TRIED,
    '## Rounds',
    ...(input.chart === undefined ? [] : [`![Losses by round](${input.chart})`]),
    roundTable(rounds),
    ...privacySection(rounds),
    '## Limits',
    limits(rounds, heldOut, input.strategy),
    '## Licence and citation',
    licence(input),
  ];
  return `${sections.join('\n\n')}\n`;
}

const TRAINED_ONLY = [
  'Only the trained weights are here. `zk0-server checkpoint <this directory> --form full --out <new directory>` joins them with',
  'their frozen base to what LeRobot loads.',
].join(' ');

function frontMatter({ features, form, basePolicy, run, rounds }: ModelCardInput): string {
  return [
    '---',
    'license: apache-2.0',
    ...(form === 'full' ? ['library_name: lerobot'] : []),
    'pipeline_tag: robotics',
    'tags:',
    ...['robotics', 'smolvla', 'federated-learning', 'zk0'].map((tag) => `  - ${tag}`),
    // A quick check for whoever looks for a policy that fits an arm.
    `action_dim: ${features.actionNames.length}`,
    ...metadataLists(basePolicy, run),
    ...modelIndex(run, rounds),
    '---',
  ].join('\n');
}

/** In a card beside a checkpoint these stand for where it is; `zk0-server push` puts the repository's name in their place. */
export const PLACE = { lerobot: 'PATH_OR_REPOSITORY', zk0: 'PATH_OR_ADDRESS' } as const;

function usage({ form, run }: ModelCardInput): string {
  const dataset = run.datasets.find(({ role }) => role === 'held-out')?.uri ?? 'URI';
  const zk0 = [
    'With zk0 (`npm install -g zk0`): its loss on recordings, and acting on an arm or in the demo world:',
    ['```bash', `zk0-server evaluate --policy ${PLACE.zk0} --dataset ${shellQuoted(dataset)}`, '```'].join('\n'),
  ];
  if (form === 'trained') return zk0.join('\n\n');
  const lerobot = ['from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy', '', `policy = SmolVLAPolicy.from_pretrained("${PLACE.lerobot}")`];
  return ['In LeRobot:', ['```python', ...lerobot, '```'].join('\n'), ...zk0].join('\n\n');
}

function shellQuoted(text: string): string {
  const flat = text.replace(/[\p{Cc}\p{Cs}`]/gu, ' ');
  return /^[\w./:@%+,=-]+$/.test(flat) ? flat : `'${flat.replaceAll("'", "'\\''")}'`;
}

/** Lists of the hub's metadata: what it was made from, as far as that is on the hub. */
function metadataLists(basePolicy: string, run: RunInfo): string[] {
  const hub = /^hf:([\w.-]+\/[\w.-]+)/;
  const base = hub.exec(basePolicy)?.[1];
  const datasets = new Set(run.datasets.flatMap(({ role, uri }) => (role === 'train' ? (hub.exec(uri ?? '')?.[1] ?? []) : [])));
  return [
    ...(base === undefined ? [] : [`base_model: ${base}`]),
    ...(datasets.size === 0 ? [] : ['datasets:', ...[...datasets].sort().map((name) => `  - ${name}`)]),
  ];
}

/** The hub's `model-index`: held-out losses of the newest evaluation. */
function modelIndex(run: RunInfo, rounds: readonly RoundRecord[]): string[] {
  const server = rounds.findLast((record) => record.server !== null)?.server;
  const measured = (server?.datasets ?? []).filter(({ policyLoss }) => Number.isFinite(policyLoss));
  if (measured.length === 0) return [];
  return [
    'model-index:',
    `  - name: ${quoted(run.runId)}`,
    '    results:',
    ...measured.flatMap(({ name, policyLoss }) => [
      '      - task:',
      '          type: robotics',
      '        dataset:',
      `          name: ${quoted(name)}`,
      `          type: ${quoted(name)}`,
      '        metrics:',
      '          - type: flow-matching-loss',
      '            name: Flow-matching loss on held-out recordings',
      `            value: ${policyLoss}`,
    ]),
  ];
}

/** Who trained on what, and whose updates counted how often. */
function contributions(datasets: RunInfo['datasets'], rounds: readonly RoundRecord[]): string {
  const counted = rounds.filter(({ round, skipped }) => round > 0 && skipped === undefined);
  const updates = counted.reduce((sum, { clients }) => sum + clients.length, 0);
  return markdownTable(
    ['client', 'dataset', 'episodes', 'frames', 'updates that count', 'share', 'SHA-256 of its content'],
    datasets.map(({ clientId, name, episodes, frames, contentHash }) => {
      const own = counted.filter(({ clients }) => clients.some((client) => client.clientId === clientId)).length;
      const share = updates === 0 ? '–' : `${((100 * own) / updates).toFixed(1)} %`;
      return [code(clientId ?? '?'), code(name), String(episodes), String(frames), `${own} of ${counted.length} rounds`, share, code(contentHash.slice(0, 16))];
    }),
  );
}

function hashes({ run, rounds }: ModelCardInput): (readonly [string, string])[] {
  const parameters = rounds.at(-1)?.paramHash;
  const base = (run.context?.['policy'] as { readonly baseHash?: unknown } | undefined)?.baseHash;
  return [
    ...(parameters === undefined ? [] : [['SHA-256 of the trained weights', code(parameters)] as const]),
    ...(typeof base === 'string' ? [['SHA-256 of the frozen base', code(base)] as const] : []),
  ];
}

/** What differential privacy promises, as the rounds' own figures say. */
function privacySection(rounds: readonly RoundRecord[]): string[] {
  const metrics = rounds.findLast(({ aggregated }) => aggregated['dp_noise_multiplier'] !== undefined)?.aggregated;
  if (metrics === undefined) return [];
  const figure = (name: string): string => (metrics[name] === undefined ? '–' : String(Number(metrics[name].toPrecision(6))));
  const epsilon = metrics['dp_epsilon'] === undefined ? 'No ε holds: no noise was added.' : `Of each client as a whole: (ε, δ) = (${figure('dp_epsilon')}, ${figure('dp_delta')}).`;
  return [
    '## Differential privacy',
    bullets([
      ['Promise', epsilon],
      ['Noise', `${figure('dp_noise_multiplier')} times the clipping norm`],
      ['Clipping norm', figure('dp_clipping_norm')],
    ]),
  ];
}

function licence({ run, rounds }: ModelCardInput): string {
  const year = run.startedAt.getUTCFullYear();
  return [
    'The weights are under Apache-2.0, as their base is. Recordings stay with their owners under whatever licence these chose; each owner took part by starting',
    'a client on them, and no licence or consent beyond that was recorded.',
    '',
    '```bibtex',
    '@misc{zk0,',
    `  title = {SmolVLA, trained federatedly with zk0: run ${run.runId.replace(/[^\w.:-]/g, ' ')}, round ${rounds.at(-1)?.round ?? 0}},`,
    `  year = {${year}},`,
    '}',
    '```',
  ].join('\n');
}

function datasetTable(datasets: RunInfo['datasets']): string {
  return markdownTable(
    ['dataset', 'episodes', 'frames'],
    datasets.map(({ name, episodes, frames }) => [code(name), String(episodes), String(frames)]),
  );
}

function evaluation(rounds: readonly RoundRecord[], heldOut: RunInfo['datasets']): string {
  const evaluated = rounds.filter(({ server }) => server !== null);
  const best = bestOf(rounds);
  const last = evaluated.at(-1);
  if (last?.server == null) return 'Not evaluated on held-out data.';
  const first = evaluated[0]!;
  return [
    'Flow-matching loss (lower is better) on recordings that nobody trained on:',
    datasetTable(heldOut),
    markdownTable(
      ['held-out dataset', `round ${first.round}`, `round ${last.round}`, 'standard error', 'samples'],
      [
        ...last.server.datasets.map((dataset) => [
          code(dataset.name),
          loss(first.server?.datasets.find(({ name }) => name === dataset.name)?.policyLoss),
          loss(dataset.policyLoss),
          loss(dataset.standardError),
          String(dataset.samples),
        ]),
        ['together', loss(first.server?.policyLoss), loss(last.server.policyLoss), loss(last.server.standardError), String(last.server.totalSamples)],
      ],
    ),
    ...(best === null ? [] : [`The lowest held-out loss so far is ${loss(best.server_policy_loss)}, of round ${best.round}${best.round === last.round ? ': this one' : ''}.`]),
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

function loss(value: number | undefined): string {
  return value === undefined ? '–' : value.toFixed(4);
}
