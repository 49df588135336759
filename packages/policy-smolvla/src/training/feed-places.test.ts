import { describe, expect, it } from 'vitest';
import { FeedPlaces } from './feed-places.ts';

describe('FeedPlaces', () => {
  it('gives as many places in turn as it has, and new ones where type or shape change', () => {
    const places = new FeedPlaces(2);
    const spec = { dtype: 'float32', shape: [2, 3] } as const;
    const [first, second, third] = [places.next({ x: spec }), places.next({ x: spec }), places.next({ x: spec })];
    expect(second.x.data.buffer).not.toBe(first.x.data.buffer);
    expect(third.x.data.buffer).toBe(first.x.data.buffer);
    expect(places.next({ x: { ...spec, shape: [3, 2] } }).x.data.buffer).not.toBe(second.x.data.buffer);
    expect(places.next({ x: { ...spec, dtype: 'float16' } }).x).toMatchObject({ dtype: 'float16', shape: [2, 3] });
  });
});
