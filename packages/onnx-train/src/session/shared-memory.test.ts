import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { SharedMemoryReceiver, SharedMemorySender, type SentTensors } from './shared-memory.ts';
import { float32Tensor, sharedTensor, type Tensors } from './tensor.ts';

/** Through a message, as between threads. */
function across(sender: SharedMemorySender, receiver: SharedMemoryReceiver, tensors: Tensors): { readonly sent: SentTensors; readonly got: Tensors } {
  const sent = sender.pack(tensors);
  return { sent, got: receiver.unpack(structuredClone(sent)) };
}

const nothing = (): void => undefined;

describe('shared memory', () => {
  it('crosses once, whatever lies in it, and is the same memory on both sides', () => {
    const [sender, receiver] = [new SharedMemorySender(nothing), new SharedMemoryReceiver()];
    const whole = sharedTensor('float32', [6]);
    const part = { dtype: 'float32', shape: [2], data: new Float32Array(whole.data.buffer, 8, 2) } as const;
    const first = across(sender, receiver, { whole });
    expect(first.sent['whole']).toHaveProperty('memory');
    const second = across(sender, receiver, { whole, part });
    for (const tensor of Object.values(second.sent)) expect(tensor).not.toHaveProperty('memory');
    (whole.data as Float32Array).set([0, 1, 2, 3, 4, 5]);
    expect([...(second.got['whole']!.data as Float32Array)]).toEqual([0, 1, 2, 3, 4, 5]);
    expect(second.got['part']).toMatchObject({ dtype: 'float32', shape: [2] });
    expect([...(second.got['part']!.data as Float32Array)]).toEqual([2, 3]);
  });

  it('leaves other memory to be copied', () => {
    const x = float32Tensor(Float32Array.of(1, 2));
    const { got } = across(new SharedMemorySender(nothing), new SharedMemoryReceiver(), { x });
    expect(got['x']).toEqual(x);
    expect(got['x']!.data.buffer).not.toBe(x.data.buffer);
  });

  it('crosses again after a message that was not sent', () => {
    const [sender, receiver] = [new SharedMemorySender(nothing), new SharedMemoryReceiver()];
    const x = sharedTensor('int64', [1]);
    sender.pack({ x });
    sender.reset();
    expect(across(sender, receiver, { x }).got['x']!.data).toEqual(x.data);
  });

  it('is forgotten when the sender has dropped it', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const forgotten: number[] = [];
    const sender = new SharedMemorySender((place) => forgotten.push(place));
    const kept = sharedTensor('float32', [4]);
    sender.pack({ kept });
    for (let index = 0; index < 3; index++) sender.pack({ dropped: sharedTensor('float32', [4]) });
    for (let tries = 0; tries < 100 && forgotten.length < 3; tries++) {
      collect();
      await sleep(10);
    }
    expect(forgotten.sort()).toEqual([1, 2, 3]);
    expect(sender.pack({ kept })['kept']).toMatchObject({ place: 0 });
  });
});
