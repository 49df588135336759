import type { PageEvent } from './events.ts';
import type { PageView, RoundView, RunView, SuccessView } from './view.ts';

/** A text for JSON in which maps are lists of pairs, marked so that they can be told. */
export function encode(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => (part instanceof Map ? { '~map': [...(part as Map<string, unknown>)] } : part));
}

/** What {@link encode} was given: the page trusts its own server, and nobody else can write to the stream. */
export function decode(text: string): unknown {
  return JSON.parse(text, (_key, part: unknown) => {
    const pairs = typeof part === 'object' && part !== null ? (part as Readonly<Record<string, unknown>>)['~map'] : undefined;
    return Array.isArray(pairs) ? new Map(pairs as [string, unknown][]) : part;
  });
}

export const decodeView = (text: string): PageView => decode(text) as PageView;
export const decodeEvents = (text: string): readonly PageEvent[] => decode(text) as readonly PageEvent[];
export const decodeRun = (text: string): RunView => decode(text) as RunView;
export const decodeSuccesses = (text: string): readonly SuccessView[] => decode(text) as readonly SuccessView[];
export const decodeRound = (text: string): RoundView => decode(text) as RoundView;
