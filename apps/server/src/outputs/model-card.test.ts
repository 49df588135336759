import { describe, expect, it } from 'vitest';
import { modelCard, type ModelCardInput } from './model-card.ts';
import { exampleInfo, exampleRounds } from './testing.ts';

const input: ModelCardInput = {
  run: exampleInfo,
  rounds: exampleRounds(2, 3),
  basePolicy: 'small',
  form: 'full',
  parameters: { total: 3_000_000, trained: 1_200_000 },
  strategy: 'fedprox',
  training: { 'local steps': 20, 'learning rate': 1e-4 },
  features: { stateNames: ['pan.pos', 'lift.pos'], actionNames: ['pan.pos', 'lift.pos'], cameras: ['observation.images.top'] },
};

describe('modelCard', () => {
  it('begins with metadata that the hub reads', () => {
    expect(modelCard(input)).toMatch(/^---\nlicense: apache-2\.0\nlibrary_name: lerobot\npipeline_tag: robotics\ntags:\n(  - [\w-]+\n)+action_dim: 2\nmodel-index:\n/);
    const onHub = { ...exampleInfo.datasets[0]!, uri: `hf:owner/set@${'a'.repeat(40)}` };
    const card = modelCard({ ...input, basePolicy: 'hf:lerobot/smolvla_base@main', run: { ...exampleInfo, datasets: [onHub] } });
    expect(card.split('---\n')[1]).toContain(
      'action_dim: 2\nbase_model: lerobot/smolvla_base\ndatasets:\n  - owner/set\nmodel-index:\n  - name: "run-1"\n    results:\n      - task:\n          type: robotics\n' +
        '        dataset:\n          name: "held"\n          type: "held"\n        metrics:\n          - type: flow-matching-loss\n' +
        '            name: Flow-matching loss on held-out recordings\n            value: 0.125\n',
    );
  });

  it('says what it was trained and evaluated on, and how well', () => {
    const card = modelCard(input);
    expect(card).toContain('after 3 federated rounds');
    expect(card).toContain('| `client_0` | `kitchen 0` | 8 | 400 | 3 of 3 rounds | 50.0 % | `aaaaaaaaaaaaaaaa` |');
    expect(card).toContain('| `held` | 1.0000 | 0.1250 | 0.0200 | 64 |');
    expect(card).toContain('The lowest held-out loss so far is 0.1250, of round 3: this one.');
    expect(card).toContain(`SHA-256 of the trained weights**: \`${'f'.repeat(64)}\``);
    expect(card).toContain('SmolVLAPolicy.from_pretrained("PATH_OR_REPOSITORY")');
    expect(card).toContain('zk0-server evaluate --policy PATH_OR_ADDRESS --dataset demo:held');
    expect(card).not.toContain('![');
    expect(modelCard({ ...input, chart: 'losses.png' })).toContain('![Losses by round](losses.png)');
    expect(card).toContain('1,200,000 trained of 3,000,000');
    expect(card).toContain('| 3 | 2 | 0.1750 | 0.1250 |');
  });

  it('claims nothing that was not measured', () => {
    const rounds = input.rounds.map((record) => ({ ...record, server: null }));
    const card = modelCard({ ...input, rounds, run: { ...exampleInfo, datasets: [] } });
    expect(card).toContain('Not evaluated on held-out data.');
    expect(card).toContain('nothing is known about tasks outside the training data');
    expect(card).toContain('No success rate on a robot was measured');
  });

  it('tells how to make a whole policy of trained weights, and does not offer them to LeRobot', () => {
    const card = modelCard({ ...input, form: 'trained' });
    expect(card).toContain('zk0-server checkpoint <this directory> --form full');
    expect(card).not.toContain('library_name: lerobot');
  });

  it('says whether noise was added for privacy', () => {
    expect(modelCard(input)).toContain('no differential privacy was applied');
    expect(modelCard(input)).not.toContain('## Differential privacy');
    const aggregated = { dp_epsilon: 3.25, dp_delta: 1e-5, dp_noise_multiplier: 1.1, dp_clipping_norm: 0.5 };
    const card = modelCard({ ...input, strategy: 'dp-fixed', rounds: input.rounds.map((round) => ({ ...round, aggregated })) });
    expect(card).toContain('noise was added as `dp-fixed` says');
    expect(card).toContain('(ε, δ) = (3.25, 0.00001)');
    expect(card).toContain('1.1 times the clipping norm');
  });

  it('tells skipped rounds', () => {
    const rounds = [...input.rounds, { round: 4, clients: [], server: null, aggregated: {}, skipped: 'no updates' }];
    const card = modelCard({ ...input, rounds });
    expect(card).toContain('| 4 (skipped) | 0 | – | – |');
    expect(card).toContain('1 round was skipped');
  });

  it('stays short after many rounds, and keeps the first and the last', () => {
    const card = modelCard({ ...input, rounds: exampleRounds(1, 500) });
    const rows = card.split('\n').filter((line) => /^\| \d+ \| \d/.test(line));
    expect(rows.length).toBeLessThan(55);
    expect(rows[0]).toMatch(/^\| 0 /);
    expect(rows.at(-1)).toMatch(/^\| 500 /);
  });

  it('lets no name become markup or a table row', () => {
    const name = 'x` | <img src=q>\n| 1 | 2 |\n---\n[a](b)';
    const datasets = [{ ...exampleInfo.datasets[0]!, name, clientId: name }];
    const card = modelCard({ ...input, basePolicy: name, run: { ...exampleInfo, datasets, runId: name } });
    expect(card.split('\n').filter((line) => line.includes('<img'))).toHaveLength(3);
    expect(card).not.toContain('x` | <');
    for (const line of card.split('\n').filter((text) => text.includes('<img'))) expect(line).toMatch(/`x {2,}<img/);
  });
});
