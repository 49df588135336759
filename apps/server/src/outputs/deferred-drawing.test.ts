import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { DeferredDrawing } from './deferred-drawing.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

it('draws once for several requests, a moment later', async () => {
  const draw = vi.fn(() => Promise.resolve());
  const drawing = new DeferredDrawing(draw);
  await drawing.request();
  await drawing.request();
  expect(draw).not.toHaveBeenCalled();
  await vi.runAllTimersAsync();
  expect(draw).toHaveBeenCalledTimes(1);
});

it('makes what is due when it has to finish, and nothing else', async () => {
  const draw = vi.fn(() => Promise.resolve());
  const drawing = new DeferredDrawing(draw);
  await drawing.finish();
  expect(draw).not.toHaveBeenCalled();
  await drawing.request();
  await drawing.finish();
  await drawing.finish();
  expect(draw).toHaveBeenCalledTimes(1);
});

it('tells of a drawing that failed', async () => {
  const drawing = new DeferredDrawing(() => Promise.reject(new Error('no ink')));
  await drawing.request();
  await vi.runAllTimersAsync();
  await expect(drawing.request()).rejects.toThrow('no ink');
  await expect(drawing.finish()).rejects.toThrow('no ink');
});

it('leaves pauses between drawings that take long, and draws the last state all the same', async () => {
  const draw = vi.fn(() => new Promise<void>((resolve) => setTimeout(resolve, 500)));
  const drawing = new DeferredDrawing(draw);
  for (let round = 0; round < 100; round++) {
    const asked = drawing.request();
    await vi.advanceTimersByTimeAsync(1000);
    await asked;
  }
  // 100 seconds of rounds, a drawing every 31.5.
  expect(draw.mock.calls.length).toBeGreaterThan(2);
  expect(draw.mock.calls.length).toBeLessThan(6);
  const before = draw.mock.calls.length;
  await drawing.request();
  const finished = drawing.finish();
  await vi.runAllTimersAsync();
  await finished;
  expect(draw).toHaveBeenCalledTimes(before + 1);
});
