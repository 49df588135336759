/**
 * A program of its own: says on stdout, as JSON, how fast this machine's device (the argument) multiplies matrices.
 * Drivers that are missing or broken write to stderr or end the process; here neither does harm.
 */
import { errorMessage, Zk0Error } from '@zk0/core/errors';
import { encodeModel } from '../graph/encode-model.ts';
import { GraphBuilder } from '../graph/graph-builder.ts';
import * as ops from '../ops/index.ts';
import { deviceConfig, type Device } from './devices.ts';
import { createSession } from './session.ts';
import { sharedTensor } from './tensor.ts';

/** Widths of square matrices whose products are timed, as long as they are quick: 0.03 and 2 GFLOP. */
const SIZES = [256, 1024];
/** A device that is slower than this is not asked for more. */
const QUICK_SECONDS = 0.02;
const ROUNDS = 2;

/** Floating-point operations a second, in thousands of millions. */
async function gigaflops(device: Device): Promise<number> {
  let rate = 0;
  for (const size of SIZES) {
    const seconds = await secondsFor(device, size);
    rate = Math.max(rate, (2 * size ** 3) / seconds / 1e9);
    if (seconds > QUICK_SECONDS) break;
  }
  return rate;
}

async function secondsFor(device: Device, size: number): Promise<number> {
  const graph = new GraphBuilder('probe');
  const x = graph.input('x', 'float32', [size, size]);
  graph.output('y', ops.reduceMax(ops.matMul(x, x)));
  const session = await createSession(encodeModel(graph), { device, config: deviceConfig(device) });
  try {
    const feeds = { x: sharedTensor('float32', [size, size]) };
    let seconds = Infinity;
    for (let round = 0; round < ROUNDS; round++) {
      const begun = performance.now();
      await session.run(feeds);
      seconds = Math.min(seconds, (performance.now() - begun) / 1000);
    }
    return seconds;
  } finally {
    await session.close();
  }
}

const device = process.argv[2] as Device;
const result = await gigaflops(device).then(
  (rate) => ({ gigaflops: rate }),
  (error: unknown) => ({ reason: errorMessage(error).replaceAll(/\s+/g, ' ').trim(), ...(error instanceof Zk0Error && { hint: error.hint }) }),
);
process.stdout.write(JSON.stringify(result));
