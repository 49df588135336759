import { describe, expect, it } from 'vitest';
import { createProgress, type ProgressStream } from './progress.ts';
import { textWidth } from './text-width.ts';

function stream(isTTY: boolean, columns = 80): ProgressStream & { text: () => string; clear: () => void } {
  let text = '';
  return {
    isTTY,
    columns,
    write: (part) => (text += part),
    text: () => text,
    clear: () => (text = ''),
  };
}

/** What a terminal shows after `text`: `\r` and erase-to-end interpreted. */
function screen(text: string): string[] {
  return text.split('\n').map((line) => line.split('\r\u001b[K').at(-1) ?? '');
}

describe('createProgress on a terminal', () => {
  it('repaints one line with bar, count, time left and detail', () => {
    const out = stream(true);
    let time = 0;
    const progress = createProgress(out, { now: () => time });
    progress.update({ label: 'training', done: 0, total: 40 });
    time = 10_000;
    progress.update({ label: 'training', done: 10, total: 40, detail: 'loss 0.41' });
    expect(screen(out.text())).toEqual(['training █████░░░░░░░░░░░░░░░ 10/40 30 s left loss 0.41']);
    progress.finish('trained 40 steps');
    expect(screen(out.text())).toEqual(['trained 40 steps', '']);
  });

  it('never fills the last column, however narrow the terminal', () => {
    for (const columns of [5, 20, 39, 60, 80]) {
      const out = stream(true, columns);
      createProgress(out).update({ label: 'client_0 training 日本語', done: 1, total: 2, detail: 'loss\n0.41'.repeat(20) });
      const [line = '', ...more] = screen(out.text());
      expect(more).toEqual([]);
      expect(textWidth(line)).toBeLessThan(columns);
    }
  });

  it('paints at most some times a second, and always the end', () => {
    const out = stream(true);
    let time = 0;
    const progress = createProgress(out, { now: () => time });
    for (let i = 0; i <= 1000; i++) {
      time = i;
      progress.update({ label: 'caching', done: i, total: 1000 });
    }
    expect(out.text().split('\r').length).toBeLessThan(20);
    expect(screen(out.text())[0]).toContain('1000/1000');
  });

  it('steps aside for log lines', () => {
    const out = stream(true);
    const progress = createProgress(out);
    progress.update({ label: 'waiting' });
    progress.console.write('a log line\n');
    progress.print('another');
    expect(screen(out.text())).toEqual(['a log line', 'another', 'waiting']);
  });
});

describe('createProgress elsewhere', () => {
  it('writes a plain line now and then', () => {
    const out = stream(false);
    let time = 0;
    const progress = createProgress(out, { now: () => time, plainIntervalS: 5 });
    for (time = 0; time <= 12_000; time += 1000) progress.update({ label: 'training', done: time / 1000, total: 12 });
    progress.finish('done');
    expect(out.text()).toBe('training 5/12 7.0 s left\ntraining 10/12 2.0 s left\ndone\n');
    expect(out.text()).not.toMatch(/[\u001b\r]/);
  });

  it('says nothing when quiet', () => {
    const out = stream(true);
    const progress = createProgress(out, { quiet: true });
    progress.update({ label: 'x' });
    progress.print('y');
    progress.console.write('z');
    progress.finish('done');
    expect(out.text()).toBe('');
  });
});
