import * as library from '@huggingface/tokenizers';

/** The part of `@huggingface/tokenizers` in use. */
export interface HuggingFaceTokenizer {
  encode(text: string): { readonly ids: number[] };
  token_to_id(token: string): number | undefined;
  get_vocab(withAddedTokens: boolean): Map<string, number>;
}

// The library's type files import each other without extensions, which Node's resolution cannot follow: everything in them
// is `any` to TypeScript. This is the one place that says what it is.
const { Tokenizer } = library as unknown as {
  readonly Tokenizer: new (tokenizer: object, config: object) => HuggingFaceTokenizer;
};

/** Makes a tokenizer from the values of tokenizer.json and tokenizer_config.json. */
export function createTokenizer(tokenizer: object, config: object): HuggingFaceTokenizer {
  return new Tokenizer(tokenizer, config);
}
