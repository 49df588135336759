/**
 * @module
 * Model updates in few bytes: rounded differences (bfloat16, int8, int4, ternary, factors of low rank with entropy-coded steps) with error feedback, and lossless ones. Pure: tensors in, tensors out.
 */
export { decodeUpdate, type DecodedUpdate, type DecodeOptions } from './decode.ts';
export { encodeUpdate, type EncodedUpdate, type EncodeOptions } from './encode.ts';
export { appliedTo } from './difference.ts';
export { bytesPerValue, encodingOf, type PackedEncoding } from './container.ts';
export { UpdateCodecError, type UpdateCodecErrorCode } from './errors.ts';
