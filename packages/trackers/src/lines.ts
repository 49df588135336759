import * as z from 'zod';

/**
 * What a tracker gets: the run first, then figures by step and the end. How often a step's policy did its task becomes known some time after
 * the step, perhaps after the end; it comes then, once for each step.
 */
export const trackerLineSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('run'),
    /** Unique; what a tracker finds the run by when its first answer was lost. */
    run: z.string().min(1).max(200),
    /** Milliseconds since 1970, here and below. */
    at: z.int().min(0),
    /** Every setting, by its dotted name. */
    config: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  }),
  z.strictObject({ kind: z.literal('metrics'), step: z.int().min(0), at: z.int().min(0), values: z.record(z.string(), z.number()) }),
  z.strictObject({ kind: z.literal('success'), step: z.int().min(0), at: z.int().min(0), values: z.record(z.string(), z.number()) }),
  z.strictObject({ kind: z.literal('end'), at: z.int().min(0), state: z.enum(['finished', 'failed', 'stopped']) }),
]);
export type TrackerLine = z.infer<typeof trackerLineSchema>;

/** A line with figures. */
export type FiguresLine = TrackerLine & { readonly kind: 'metrics' | 'success' };

/** Whether a line has figures. */
export function hasFigures(line: TrackerLine): line is FiguresLine {
  return line.kind === 'metrics' || line.kind === 'success';
}

/** A line with its place among all lines of its run, from 0. */
export interface NumberedLine {
  readonly number: number;
  readonly line: TrackerLine;
}
