/**
 * @module
 * What presets are made of, for tools that make new ones.
 */
export { presetDirectory } from './generate.ts';
export { PRESETS } from './presets.ts';
export type { Preset, PretrainedPart } from './small.ts';
