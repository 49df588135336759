import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runConfigSchema, type RunState } from '@zk0/core';
import type { LedgerRun } from '@zk0/federation';
import { startTestHub, type TestHub } from '@zk0/hub/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { modelCard } from '../outputs/model-card.ts';
import { exampleInfo, exampleRounds } from '../outputs/testing.ts';
import { pushCheckpoint } from './push-checkpoint.ts';
import { pushWhenFinished } from './push-observer.ts';

const TOKEN = 'hf_write';
let folder: string;
let server: TestHub;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'zk0-push-'));
  server = await startTestHub({ writeToken: TOKEN });
});
afterEach(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

const features = { stateNames: ['pan.pos'], actionNames: ['pan.pos'], cameras: ['observation.images.top'] };
const hub = (token = TOKEN): { endpoint: string; token: string; retryInitialMs: number; maxFailures: number } => ({ endpoint: server.endpoint, token, retryInitialMs: 1, maxFailures: 2 });

/** Tensors, but no weights. */
const NORMALIZER = 'policy_preprocessor_step_5_normalizer_processor.safetensors';

/** A checkpoint as a run leaves it, with a stray hidden file. */
function checkpoint(): string {
  const directory = join(folder, 'checkpoint_round_2');
  mkdirSync(directory);
  const rounds = exampleRounds(2, 2);
  const card = modelCard({ run: exampleInfo, rounds, basePolicy: 'small', form: 'full', parameters: { total: 2, trained: 1 }, strategy: 'fedprox', training: {}, features, chart: 'losses.png' });
  const files = { 'README.md': card, 'config.json': '{}', 'metrics.json': JSON.stringify(rounds.at(-1)), 'model.safetensors': 'weights', [NORMALIZER]: 'moments', 'losses.png': 'png', '.hidden': 'not for others' };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  return directory;
}

describe('pushing a checkpoint', () => {
  it('puts its files, a card that names the repository, and a tag of run and round on the hub', async () => {
    const pushed = await pushCheckpoint(checkpoint(), { repository: 'owner/policy', hub: hub() });
    expect(pushed.tag).toBe('fl-run-run-1-round-2');
    expect(server.tags.get('owner/policy fl-run-run-1-round-2')).toBe(pushed.commit);
    const files = server.files('model', 'owner/policy')!;
    expect(Object.keys(files).sort()).toEqual(['.gitattributes', 'README.md', 'config.json', 'losses.png', 'metrics.json', 'model.safetensors', NORMALIZER]);
    const card = Buffer.from(files['README.md']!).toString();
    expect(card).toContain('SmolVLAPolicy.from_pretrained("owner/policy")');
    expect(card).toContain('zk0-server evaluate --policy hf:owner/policy --dataset demo:held');
    expect(card).not.toContain('PATH_OR');
  });

  it.each(['README.md', 'config.json', 'model.safetensors'])('refuses a folder without %s, and asks the hub nothing', async (name) => {
    const directory = checkpoint();
    rmSync(join(directory, name));
    await expect(pushCheckpoint(directory, { repository: 'owner/policy', hub: hub() })).rejects.toMatchObject({ code: 'CHECKPOINT_INCOMPLETE' });
    await expect(pushCheckpoint(join(folder, 'none'), { repository: 'owner/policy', hub: hub() })).rejects.toMatchObject({ code: 'CHECKPOINT_INCOMPLETE' });
    expect(server.requests).toEqual([]);
  });
});

it('pushes no pointer of git-lfs in place of a file, and no adapter', async () => {
  const directory = checkpoint();
  const push = async (): Promise<unknown> => await pushCheckpoint(directory, { repository: 'owner/policy', hub: hub() });
  writeFileSync(join(directory, 'losses.png'), `version https://git-lfs.github.com/spec/v1\noid sha256:${'cd'.repeat(32)}\nsize 1000\n`);
  await expect(push()).rejects.toMatchObject({ code: 'FILE_POINTER', message: expect.stringContaining('losses.png is a git-lfs pointer') as string });
  writeFileSync(join(directory, 'adapter_config.json'), '{}');
  rmSync(join(directory, 'model.safetensors'));
  await expect(push()).rejects.toMatchObject({ code: 'CHECKPOINT_INCOMPLETE', message: expect.stringContaining('an adapter') as string });
  expect(server.requests).toEqual([]);
});

describe('a run that names a repository', () => {
  const lines: string[] = [];
  const log = { info: (line: string) => void lines.push(`info ${line}`), error: (line: string) => void lines.push(`error ${line}`) };
  async function finish(pushTo: string | undefined, token = TOKEN): Promise<void> {
    lines.length = 0;
    const state = { runId: 'r', config: runConfigSchema.parse({ pushTo }), rounds: [] } as unknown as RunState;
    const run: LedgerRun = { state, length: 1, createdAt: new Date(0), configuredAt: [], changedAt: new Date(0) };
    await pushWhenFinished(log, { hub: hub(token) }).handle({ runId: 'r', position: 1, at: new Date(0), event: { type: 'run-finished', checkpoint: join(folder, 'checkpoint_round_2') } }, run);
  }

  it('pushes its newest checkpoint when it has finished, and nothing where it names none', async () => {
    checkpoint();
    await finish(undefined);
    expect(server.requests).toEqual([]);
    await finish('owner/policy');
    expect(lines).toEqual([expect.stringMatching(/^info pushed to http\S+\/owner\/policy \(commit [0-9a-f]{12}, tag fl-run-run-1-round-2\)$/)]);
  });

  it('has finished all the same when the hub refuses, and says how to push by hand', async () => {
    checkpoint();
    await finish('owner/policy', 'hf_other');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^error the checkpoint was not pushed: .*does not accept the token; push it with: .*zk0-server.* push \S+checkpoint_round_2 --repo owner\/policy$/);
    expect(lines[0]).not.toContain('hf_other');
  });
});
