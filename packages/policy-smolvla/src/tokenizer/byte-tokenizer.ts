import { byteCharacters } from './byte-level.ts';

/** Special tokens in the order of SmolVLM's vocabulary: id 0 is `<|endoftext|>`, as there. */
const LEADING_TOKENS = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'];
const TRAILING_TOKENS = ['<global-img>', '<fake_token_around_image>', '<image>', '<end_of_utterance>'];

/** Files of a Hugging Face tokenizer, as values to be written as JSON. */
export interface TokenizerFiles {
  readonly tokenizer: unknown;
  readonly config: unknown;
  readonly vocabSize: number;
}

/**
 * A tokenizer of one token a byte with SmolVLM's special tokens: BPE without merges, so that a small model needs no
 * download. Same pre-tokenisation as SmolVLM's own.
 */
export function makeByteTokenizer(): TokenizerFiles {
  const contents = [...LEADING_TOKENS, ...byteCharacters(), ...TRAILING_TOKENS];
  const idOf = new Map(contents.map((content, id) => [content, id]));
  const special = (content: string): Record<string, unknown> => ({
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  });
  const specialTokens = [...LEADING_TOKENS, ...TRAILING_TOKENS];
  const inVocabulary = contents.filter((content) => !TRAILING_TOKENS.includes(content));
  return {
    vocabSize: contents.length,
    tokenizer: {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: specialTokens.map((content) => ({ id: idOf.get(content), ...special(content) })),
      normalizer: null,
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [
          { type: 'Digits', individual_digits: true },
          { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
        ],
      },
      post_processor: null,
      decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Object.fromEntries(inVocabulary.map((content) => [content, idOf.get(content)])),
        merges: [],
      },
    },
    config: {
      tokenizer_class: 'PreTrainedTokenizerFast',
      bos_token: '<|im_start|>',
      eos_token: '<end_of_utterance>',
      pad_token: '<|im_end|>',
      unk_token: '<|endoftext|>',
      // transformers makes attributes of these, and LeRobot asks for them.
      extra_special_tokens: {
        fake_image_token: '<fake_token_around_image>',
        global_image_token: '<global-img>',
        image_token: '<image>',
        end_of_utterance_token: '<end_of_utterance>',
      },
      additional_special_tokens: ['<fake_token_around_image>', '<image>', '<end_of_utterance>'],
      added_tokens_decoder: Object.fromEntries(specialTokens.map((content) => [String(idOf.get(content)), special(content)])),
      add_prefix_space: false,
      clean_up_tokenization_spaces: false,
      model_max_length: 8192,
      truncation_side: 'left',
    },
  };
}
