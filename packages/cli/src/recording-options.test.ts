import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { readRecordingOptions, withRecordingOptions } from './recording-options.ts';

const UNITS = ['degrees', 'radians'] as const;
const read = (...args: string[]): unknown => {
  const command = withRecordingOptions(new Command('start').exitOverride(), UNITS);
  command.parse(args, { from: 'user' });
  return readRecordingOptions(command.opts(), UNITS);
};

describe('how recordings are read', () => {
  it('is said with --rename, which may be repeated, and --units', () => {
    expect(read('--rename', 'a=b', '--rename', 'c=d', '--units', 'radians')).toEqual({ rename: { a: 'b', c: 'd' }, units: 'radians' });
    expect(read()).toEqual({});
  });

  it.each([
    [['--rename', 'a'], '--rename a is not of the form from=to'],
    [['--rename', 'a=b=c'], '--rename a=b=c is not of the form from=to'],
    [['--rename', 'a=b', '--rename', 'a=c'], '--rename gives a two names, b and c'],
    [['--units', 'feet'], '--units feet is not known'],
  ])('is refused when it cannot be understood: %j', (args, message) => {
    expect(() => read(...args)).toThrow(message);
  });
});
