import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { existsSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeByteTokenizer } from './byte-tokenizer.ts';
import { loadTaskTokenizer, MAX_TASK_LENGTH, type TokenizedTask } from './tokenizer.ts';

const { tokenizer, config, vocabSize } = makeByteTokenizer();
const options = { maxLength: 12, vocabSize };
let directory: string;

async function write(changedTokenizer: unknown, changedConfig: unknown): Promise<string> {
  const folder = await mkdtemp(join(directory, 't-'));
  await writeFile(join(folder, 'tokenizer.json'), typeof changedTokenizer === 'string' ? changedTokenizer : JSON.stringify(changedTokenizer));
  await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify(changedConfig));
  return folder;
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'zk0-tokenizer-'));
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

const length = ({ mask }: TokenizedTask): number => mask.reduce((sum, bit) => sum + bit, 0);

describe('the byte tokenizer', () => {
  it('makes one token of every byte of any text, special tokens aside', async () => {
    const tokens = await loadTaskTokenizer(await write(tokenizer, config), { maxLength: 400, vocabSize });
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }).filter((text) => !/[<\uD800-\uDFFF]/.test(text)), (text) => {
        const line = text.endsWith('\n') ? text : `${text}\n`;
        expect(length(tokens.encode(text))).toBe(new TextEncoder().encode(line).byteLength);
      }),
    );
  });
});

describe('tokenising a task', () => {
  it('ends it with one newline, pads on the right and cuts on the left', async () => {
    const tokens = await loadTaskTokenizer(await write(tokenizer, config), options);
    const short = tokens.encode('go');
    expect(tokens.encode('go\n')).toEqual(short);
    expect(length(short)).toBe(3);
    expect([...short.mask]).toEqual([1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect([...short.ids.subarray(3)]).toEqual(Array(9).fill(2));
    const long = tokens.encode('abcdefghijklmnop');
    expect(long.ids).toEqual(tokens.encode('fghijklmnop').ids);
    expect(() => tokens.encode('x'.repeat(MAX_TASK_LENGTH + 1))).toThrow(/at most/);
  });

  const real = resolve(process.env['ZK0_TEST_DATA'] ?? join(import.meta.dirname, '../../../../../shared/data'), 'pretrained/smolvlm_256m_instruct');
  it.skipIf(!existsSync(join(real, 'tokenizer.json')))('equals the reference on the real SmolVLM tokenizer (needs the test data)', async () => {
    const tokens = await loadTaskTokenizer(real, { maxLength: 48, vocabSize: 49280 });
    // From the official Rust tokenizers, through transformers.
    const { ids } = tokens.encode('Pick up the red cube and place it in the box.');
    expect([...ids.subarray(0, 13)]).toEqual([31413, 614, 260, 2382, 20636, 284, 1379, 357, 281, 260, 3985, 30, 198]);
    expect(tokens.fakeImageTokenId).toBe(49189);
    expect(tokens.globalImageTokenId).toBe(49152);
  });
});

describe('a tokenizer is refused', () => {
  it.each<[string, () => Promise<string>, RegExp]>([
    ['without its files', () => mkdtemp(join(directory, 'empty-')), /tokenizer\.json/],
    ['when it is not JSON', () => write('{"model":', config), /tokenizer\.json/],
    ['when it is not a tokenizer', () => write({ version: 1 }, config), /model/],
    ['of a kind nobody knows', () => write({ ...(tokenizer as object), model: { type: 'Nonsense' } }, config), /tokenizer\.json/],
    [
      'without the special tokens',
      async () => {
        const text = JSON.stringify(tokenizer).replaceAll('<fake_token_around_image>', '<other>').replaceAll('<global-img>', '<more>');
        return write(text, JSON.parse(JSON.stringify(config).replaceAll('<fake_token_around_image>', '<other>').replaceAll('<global-img>', '<more>')));
      },
      /lacks the special tokens <fake_token_around_image>, <global-img>/,
    ],
    ['without a padding token', () => write(tokenizer, { ...(config as object), pad_token: undefined }), /pad_token/],
  ])('%s', async (_what, make, message) => {
    const failure = await loadTaskTokenizer(await make(), options).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'TOKENIZER_INVALID', message: expect.stringMatching(message) as string });
  });

  it('with more tokens than the model embeds', async () => {
    await expect(loadTaskTokenizer(await write(tokenizer, config), { ...options, vocabSize: 100 })).rejects.toThrow(/ids up to \d+, the model embeds 100/);
  });

  it('never for a reason other than its own on damaged files', async () => {
    const folder = await write(tokenizer, config);
    const text = await readFile(join(folder, 'tokenizer.json'), 'utf8');
    for (const cut of [1, 100, Math.floor(text.length / 2), text.length - 1]) {
      await writeFile(join(folder, 'tokenizer.json'), text.slice(0, cut));
      await expect(loadTaskTokenizer(folder, options)).rejects.toMatchObject({ code: 'TOKENIZER_INVALID' });
    }
  });
});
