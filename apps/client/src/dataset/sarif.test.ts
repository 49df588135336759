import type { ValidationReport } from '@zk0/dataset-so100';
import { describe, expect, it } from 'vitest';
import { sarifLog } from './sarif.ts';
import { scoreText } from './score-text.ts';

const report: ValidationReport = {
  uri: '/data/set',
  ok: false,
  cameras: null,
  findings: [
    { severity: 'warning', code: 'JUMP', message: 'Episode 3: elbow jumps.', file: '/data/a b#1/episode_000003.parquet', episode: 3, frame: 150 },
    { severity: 'error', code: 'DATASET_ROWS', message: 'row 7 is bad', file: '/data/x.parquet', row: 7, episode: 4 },
    { severity: 'info', code: 'COUNTS', message: 'counts differ' },
  ],
  counts: { error: { DATASET_ROWS: 1 }, warning: { JUMP: 1 }, info: { COUNTS: 1 } },
  contents: {},
  scores: [0, 1, 2, 3].map((episode) => ({ episode, score: episode === 3 ? 0.5 : 1, findings: [], notes: [] })),
  checked: { episodes: 4, frames: 5, videoFiles: 0, imagesDecoded: 0 },
};

describe('a SARIF log', () => {
  it('has a rule for every code with what to do, and a result for every finding with where it is', () => {
    const { version, runs } = sarifLog([report]) as { version: string; runs: { tool: { driver: { rules: { id: string; help: { text: string } }[] } }; results: object[] }[] };
    expect(version).toBe('2.1.0');
    const [run] = runs;
    expect(run!.tool.driver.rules.map(({ id }) => id)).toEqual(['COUNTS', 'DATASET_ROWS', 'JUMP']);
    expect(run!.tool.driver.rules.every(({ help }) => help.text.length > 10)).toBe(true);
    expect(run!.results).toEqual([
      {
        ruleId: 'JUMP',
        ruleIndex: 2,
        level: 'warning',
        message: { text: 'Episode 3: elbow jumps.' },
        locations: [
          { physicalLocation: { artifactLocation: { uri: '/data/a%20b%231/episode_000003.parquet' } }, logicalLocations: [{ fullyQualifiedName: 'episode 3/frame 150' }] },
        ],
      },
      expect.objectContaining({
        level: 'error',
        locations: [expect.objectContaining({ physicalLocation: { artifactLocation: { uri: '/data/x.parquet' }, region: { startLine: 8 } } })],
      }),
      expect.objectContaining({ level: 'note', locations: [{ physicalLocation: { artifactLocation: { uri: '/data/set' } } }] }),
    ]);
  });
});

describe('scores for people', () => {
  it('name the episodes that have little, and how to train without them', () => {
    const text = scoreText(report, Infinity);
    expect(text).toContain('4 episodes: half of them over 1, the least 0.5');
    expect(text).toContain('the episodes 3;');
    expect(text).toContain('?score>=0.6');
    expect(scoreText({ ...report, scores: [] }, Infinity)).toBe('');
  });
});
