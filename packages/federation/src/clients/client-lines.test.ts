import { describe, expect, it } from 'vitest';
import { FakeClock } from '../testing/fake-clock.ts';
import { ClientLines, type ClientLine } from './client-lines.ts';

const line = (message: string, ageMs = 0): { ageMs: number; level: 'info'; message: string } => ({ ageMs, level: 'info', message });

function lines(): { readonly clock: FakeClock; readonly taken: ClientLine[]; readonly lines: ClientLines } {
  const clock = new FakeClock();
  const taken: ClientLine[] = [];
  return { clock, taken, lines: new ClientLines(clock, (one) => taken.push(one)) };
}

describe('lines of clients', () => {
  it('are dated by the server’s clock, however wrong the client’s is', () => {
    const made = lines();
    made.lines.report('a', [{ ...line('loss 0.4', 1500), round: 3 }]);
    expect(made.taken).toEqual([{ clientId: 'a', time: new Date(made.clock.now() - 1500), level: 'info', message: 'loss 0.4', round: 3 }]);
  });

  it('are bounded for each client alone, and it is said how many were left out', () => {
    const made = lines();
    for (let report = 0; report < 100; report++) made.lines.report('loud', Array.from({ length: 50 }, (_, at) => line(`${report} ${at}`)));
    made.lines.report('quiet', [line('hello')]);
    expect(made.taken.filter(({ clientId }) => clientId === 'loud')).toHaveLength(200);
    expect(made.taken.at(-1)).toMatchObject({ clientId: 'quiet', message: 'hello' });
    made.clock.advance(1000);
    made.lines.report('loud', [line('later')], 7);
    expect(made.taken.slice(-2)).toMatchObject([{ level: 'warn', message: '4807 lines of this client were left out: it sent too many' }, { message: 'later' }]);
  });

  it('are bounded in bytes a day', () => {
    const made = lines();
    const long = 'x'.repeat(1000);
    for (let hour = 0; hour < 23; hour++) {
      for (let report = 0; report < 100; report++) {
        made.lines.report('a', Array.from({ length: 50 }, () => line(long)));
        made.clock.advance(30_000);
      }
      if (made.clock.now() - Date.UTC(2026, 0, 1) > 22 * 3600_000) break;
    }
    const bytes = (): number => made.taken.reduce((sum, { message }) => sum + message.length, 0);
    expect(bytes()).toBeGreaterThan(4e6);
    expect(bytes()).toBeLessThan(4.3e6);
    made.clock.advance(24 * 3600_000);
    made.lines.report('a', [line('a new day')]);
    expect(made.taken.at(-1)!.message).toBe('a new day');
  });
});
