import { errorMessage } from '@zk0/core/errors';
import { encodeModel } from '../graph/encode-model.ts';
import { GraphBuilder, type ProductType } from '../graph/graph-builder.ts';
import * as nn from '../ops/nn.ts';
import * as ops from '../ops/index.ts';
import { deviceConfig, type Device } from './devices.ts';
import { createSession } from './session.ts';
import { sharedTensor } from './tensor.ts';

/**
 * Why a device cannot compute products in an element type, or `undefined` where it can: found out with two small ones.
 * (Vulkan drivers may lack 16-bit floats; onnxruntime has no bfloat16 products for the processor and for WebGPU.)
 */
export async function reasonAgainstPrecision(device: Device, products: ProductType): Promise<string | undefined> {
  if (products === 'float32') return undefined;
  const graph = new GraphBuilder('precision', { products });
  const x = graph.input('x', 'float32', [8, 8]);
  graph.output('y', nn.linear(ops.matMul(x, x), x));
  try {
    const session = await createSession(encodeModel(graph), { device, threads: 1, config: deviceConfig(device) });
    try {
      await session.run({ x: sharedTensor('float32', [8, 8]) });
    } finally {
      await session.close();
    }
    return undefined;
  } catch (error) {
    return errorMessage(error).replaceAll(/\s+/g, ' ').trim();
  }
}
