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
    expect(modelCard(input)).toMatch(/^---\nlicense: apache-2\.0\nlibrary_name: lerobot\npipeline_tag: robotics\ntags:\n(  - [\w-]+\n)+action_dim: 2\n---\n/);
  });

  it('says what it was trained and evaluated on, and how well', () => {
    const card = modelCard(input);
    expect(card).toContain('after 3 federated rounds');
    expect(card).toContain('| `client_0` | `kitchen 0` | 8 | 400 |');
    expect(card).toContain('| `held` | 1.0000 | 0.1250 | 64 |');
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
    expect(modelCard({ ...input, strategy: 'dp-fixed' })).toContain('noise was added as `dp-fixed` says');
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
