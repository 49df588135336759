import { join } from 'node:path';
import { errorMessage } from '@zk0/core';
import * as z from 'zod';
import { readPolicyJson } from '../checkpoint/json-file.ts';
import { PolicyError } from '../errors.ts';
import { createTokenizer, type HuggingFaceTokenizer } from './hugging-face.ts';

/** A task as the model takes it, padded on the right to `maxLength`. */
export interface TokenizedTask {
  readonly ids: Int32Array;
  /** 1 where `ids` holds a token, 0 where it is padded. */
  readonly mask: Uint8Array;
}

const tokenText = z.union([z.string(), z.looseObject({ content: z.string() }).transform(({ content }) => content)]);
const tokenizerConfigSchema = z.looseObject({
  pad_token: tokenText,
  truncation_side: z.enum(['left', 'right']).default('right'),
});
const tokenizerSchema = z.looseObject({
  model: z.looseObject({ type: z.string() }),
  added_tokens: z.array(z.looseObject({ id: z.int().min(0), content: z.string() })),
});

/** Task texts longer than this are refused: no person writes them, and tokenising them costs time. */
export const MAX_TASK_LENGTH = 10_000;

/** Turns task texts into token ids, as LeRobot's new-line and tokenizer steps do. */
export class TaskTokenizer {
  /** Ids that SmolVLA puts around an image when `add_image_special_tokens` is set. */
  readonly fakeImageTokenId: number;
  readonly globalImageTokenId: number;
  readonly #tokenizer: HuggingFaceTokenizer;
  readonly #padId: number;
  readonly #maxLength: number;
  readonly #truncationSide: 'left' | 'right';

  constructor(tokenizer: HuggingFaceTokenizer, options: { padToken: string; truncationSide: 'left' | 'right'; maxLength: number; vocabSize: number }) {
    this.#tokenizer = tokenizer;
    this.#maxLength = options.maxLength;
    this.#truncationSide = options.truncationSide;
    const required = [options.padToken, '<fake_token_around_image>', '<global-img>'];
    const ids = required.map((token) => tokenizer.token_to_id(token));
    const missing = required.filter((_, index) => ids[index] === undefined);
    if (missing.length > 0) {
      throw new PolicyError('TOKENIZER_INVALID', `the tokenizer lacks the special tokens ${missing.join(', ')}`, {
        hint: "Use the tokenizer of the policy's own vision-language model.",
      });
    }
    const [padId, fakeImageTokenId, globalImageTokenId] = ids as [number, number, number];
    this.#padId = padId;
    this.fakeImageTokenId = fakeImageTokenId;
    this.globalImageTokenId = globalImageTokenId;
    let largest = 0;
    for (const id of tokenizer.get_vocab(true).values()) largest = Math.max(largest, id);
    if (largest >= options.vocabSize) {
      throw new PolicyError('TOKENIZER_INVALID', `the tokenizer has ids up to ${largest}, the model embeds ${options.vocabSize}`, {
        hint: "Use the tokenizer of the policy's own vision-language model.",
      });
    }
  }

  /**
   * Token ids of a task text with a newline at its end, cut to the maximum length on the tokenizer's own side and padded
   * on the right.
   */
  encode(task: string): TokenizedTask {
    const all = this.#idsOf(task);
    const kept = this.#truncationSide === 'left' ? all.slice(-this.#maxLength) : all.slice(0, this.#maxLength);
    const ids = new Int32Array(this.#maxLength).fill(this.#padId);
    ids.set(kept);
    const mask = new Uint8Array(this.#maxLength).fill(1, 0, kept.length);
    return { ids, mask };
  }

  /** How much of a task text the model sees; null where it sees all of it. */
  cutOf(task: string): { readonly tokens: number; readonly kept: number } | null {
    const { length } = this.#idsOf(task);
    return length <= this.#maxLength ? null : { tokens: length, kept: this.#maxLength };
  }

  #idsOf(task: string): readonly number[] {
    if (task.length > MAX_TASK_LENGTH) {
      throw new PolicyError('FEATURES_MISMATCH', `a task text has ${task.length} characters, at most ${MAX_TASK_LENGTH} are read`, {
        hint: 'Shorten the task text.',
      });
    }
    return this.#tokenizer.encode(task.endsWith('\n') ? task : `${task}\n`).ids;
  }
}

/** Names of the files that make a tokenizer; they enter the base's hash. */
export const TOKENIZER_FILES = ['tokenizer.json', 'tokenizer_config.json'] as const;

/**
 * Loads a tokenizer from a directory with tokenizer.json and tokenizer_config.json.
 *
 * @throws PolicyError TOKENIZER_INVALID
 */
export async function loadTaskTokenizer(
  directory: string,
  options: { readonly maxLength: number; readonly vocabSize: number },
): Promise<TaskTokenizer> {
  const path = join(directory, 'tokenizer.json');
  const json = await readPolicyJson(path, tokenizerSchema, 'TOKENIZER_INVALID');
  const config = await readPolicyJson(join(directory, 'tokenizer_config.json'), tokenizerConfigSchema, 'TOKENIZER_INVALID');
  let tokenizer: HuggingFaceTokenizer;
  try {
    tokenizer = createTokenizer(json, config);
  } catch (error) {
    throw new PolicyError('TOKENIZER_INVALID', `${path}: ${errorMessage(error)}`, { cause: error, hint: 'Download it again.' });
  }
  return new TaskTokenizer(tokenizer, { padToken: config.pad_token, truncationSide: config.truncation_side, ...options });
}
