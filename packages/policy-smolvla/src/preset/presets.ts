import { SMALL, type Preset } from './small.ts';
import { TINY } from './tiny.ts';

/** Presets by name. */
export const PRESETS: Readonly<Record<string, Preset>> = { small: SMALL, tiny: TINY };
