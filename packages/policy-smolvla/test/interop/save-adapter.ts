/**
 * Writes the merged weights of `golden/lora` as an adapter of their base, for `load_adapter.py` to load with PEFT and LeRobot:
 * `node --conditions=@zk0/source test/interop/save-adapter.ts <new folder>`
 */
import { fileURLToPath } from 'node:url';
import type { Float32Tensor, Parameters } from '@zk0/core';
import { saveAdapter } from '../../src/checkpoint/save-adapter.ts';
import { trainedWeightSpecs } from '../../src/model/weights.ts';
import { loadCase } from '../golden-files.ts';

const folder = process.argv[2];
if (folder === undefined) throw new Error('usage: save-adapter.ts <new folder>');
const golden = loadCase('lora/case');
const specs = trainedWeightSpecs({ ...golden.model, lora: { rank: 16, alpha: 8 } });
const weights = (prefix: string): Parameters =>
  new Map(specs.map(({ name, shape }): [string, Float32Tensor] => [name, { shape, data: golden.floats(`${prefix}${name}`) }]));
const from = fileURLToPath(new URL('.', import.meta.url));
const report = await saveAdapter(folder, weights('weight/'), weights('merged/'), {}, { rank: 16, base: 'zk0/tiny', revision: undefined, from });
process.stdout.write(`${JSON.stringify(report)}\n`);
