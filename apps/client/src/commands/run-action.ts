/** Hands a command's work to the program, which awaits it and passes the signal of a Ctrl-C. */
export type Run = (action: (signal: AbortSignal) => Promise<number | undefined>) => void;

/** Gathers a repeatable option. */
export function collect(value: string, previous: readonly string[]): string[] {
  return [...previous, value];
}
