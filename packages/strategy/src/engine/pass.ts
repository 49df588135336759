import { CancelledError, elementCount, type TensorSpec } from '@zk0/core';
import { SEGMENT, type Block, type Region } from '../kernels/block.ts';
import type { KernelSpec } from '../kernels/kernel.ts';
import type { Executor } from './executor.ts';
import { INT8_BLOCK, scaleName, storedBytes, type Operand, type Result } from './operands.ts';

/** Memory of one block in flight, operands and results together, however many clients there are. */
const BLOCK_BYTES = 8 * 1024 * 1024;
/** Larger reads gain nothing, and leave the caches. */
const MAX_BLOCK_ELEMENTS = 32 * SEGMENT;

/** One walk over all elements of a model. */
export interface Pass {
  /** The elements that are walked, tensor by tensor. */
  readonly tensors: readonly TensorSpec[];
  readonly kernel: KernelSpec;
  operands(tensor: TensorSpec): readonly Operand[];
  results?(tensor: TensorSpec): readonly Result[];
  /** Takes the kernel's partial sums, block by block in the order of the elements. */
  reduce?(partial: Float64Array, block: Block): void;
}

interface Plan {
  readonly tensor: TensorSpec;
  readonly operands: readonly Operand[];
  readonly results: readonly Result[];
  readonly offset: number;
  readonly length: number;
}

/**
 * Runs a pass. Blocks are read and computed concurrently, but reduced and written in order: so the outcome does not depend on
 * how many are in flight, and a sink that hashes what it is given need not read it again.
 */
export async function runPass(pass: Pass, executor: Executor, signal?: AbortSignal): Promise<void> {
  const plans = planBlocks(pass);
  let failed = false;
  const hasFailed = (): boolean => failed;
  let lastTurn = Promise.resolve();

  const work = async (slot: number): Promise<void> => {
    for (let { value: plan } = plans.next(); plan !== undefined && !failed; { value: plan } = plans.next()) {
      const turn = lastTurn;
      let passOn!: () => void;
      lastTurn = new Promise((resolve) => {
        passOn = resolve;
      });
      try {
        if (signal?.aborted === true) throw new CancelledError('aggregation', { cause: signal.reason });
        const { block, bytes } = layOut(plan);
        const buffer = executor.buffer(slot, bytes);
        await Promise.all(plan.operands.map((operand, at) => read(operand, block.operands[at]!, plan, buffer)));
        const partial = await executor.run(slot, pass.kernel, block);
        await turn;
        // Another slot may have failed meanwhile.
        if (hasFailed()) return;
        pass.reduce?.(partial, block);
        const writes = plan.results.map((result, at) => write(result, block.results[at]!, plan, buffer));
        passOn();
        await Promise.all(writes);
      } catch (error) {
        failed = true;
        throw error;
      } finally {
        passOn();
      }
    }
  };
  // All slots must have let go of their buffers before an error leaves here.
  const outcomes = await Promise.allSettled(Array.from({ length: executor.slots }, (_, slot) => work(slot)));
  const failure = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
}

function* planBlocks(pass: Pass): Generator<Plan, undefined> {
  for (const tensor of pass.tensors) {
    const operands = pass.operands(tensor);
    const results = pass.results?.(tensor) ?? [];
    const perElement = [...operands, ...results].reduce((sum, { dtype }) => sum + storedBytes(dtype), 0);
    const segments = Math.max(1, Math.floor(BLOCK_BYTES / perElement / SEGMENT));
    const step = Math.min(MAX_BLOCK_ELEMENTS, segments * SEGMENT);
    const count = elementCount(tensor.shape);
    for (let offset = 0; offset < count; offset += step) {
      yield { tensor, operands, results, offset, length: Math.min(step, count - offset) };
    }
  }
}

function layOut({ tensor, operands, results, offset, length }: Plan): { readonly block: Block; readonly bytes: number } {
  let position = 0;
  const place = (bytes: number): number => {
    const begin = position;
    position = Math.ceil((begin + bytes) / 8) * 8;
    return begin;
  };
  const region = <T extends Region['dtype']>(dtype: T): Region & { readonly dtype: T } => ({
    dtype,
    begin: place(dtype === 'I8' ? length : length * storedBytes(dtype)),
    scaleBegin: dtype === 'I8' ? place(Math.ceil(length / INT8_BLOCK) * 4) : 0,
  });
  const block = {
    tensor: tensor.name,
    offset,
    length,
    operands: operands.map(({ dtype }) => region(dtype)),
    results: results.map(({ dtype }) => region(dtype)),
  };
  return { block, bytes: position };
}

async function read({ source, name, dtype }: Operand, region: Region, plan: Plan, buffer: ArrayBufferLike): Promise<void> {
  const { offset, length } = plan;
  if (dtype !== 'I8') {
    const size = storedBytes(dtype);
    return source.readBytes(name, offset * size, new Uint8Array(buffer, region.begin, length * size));
  }
  const scales = Math.ceil(length / INT8_BLOCK);
  await Promise.all([
    source.readBytes(name, offset, new Uint8Array(buffer, region.begin, length)),
    source.readBytes(scaleName(name), (offset / INT8_BLOCK) * 4, new Uint8Array(buffer, region.scaleBegin, scales * 4)),
  ]);
}

function write({ sink, name, dtype }: Result, region: Region, plan: Plan, buffer: ArrayBufferLike): Promise<void> {
  const size = storedBytes(dtype);
  return sink.writeBytes(name, plan.offset * size, new Uint8Array(buffer, region.begin, plan.length * size));
}
