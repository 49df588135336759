import { CancelledError, elementCount, type TensorPlace, type TensorSource, type TensorSpec } from '@zk0/core';
import { compileKernel, isStreaming, type KernelSpec } from '../kernels/kernel.ts';
import { dataBytes, scaleBytes, SEGMENT, tileLength, type KernelShape } from '../kernels/layout.ts';
import { UnreadableError, type Block, type BlockPlace } from './block.ts';
import { InlineExecutor, type Executor } from './executor.ts';
import { scaleName, type Operand, type Result } from './operands.ts';

/** Operands and results of one block in flight, however many clients there are. */
const BLOCK_BYTES = 8 * 1024 * 1024;
/** Larger blocks gain nothing. */
const MAX_BLOCK_ELEMENTS = 32 * SEGMENT;

/** One walk over all elements of a model. */
export interface Pass {
  /** The elements that are walked, tensor by tensor. */
  readonly tensors: readonly TensorSpec[];
  readonly kernel: KernelSpec;
  operands(tensor: TensorSpec): readonly Operand[];
  results?(tensor: TensorSpec): readonly Result[];
  /** Takes the kernel's partial sums, block by block in the order of the elements. */
  reduce?(partial: Float64Array, block: Pick<Block, 'tensor' | 'offset'>): void;
  /** Whether it can be computed on the calling thread alone: a function does not travel to others. */
  readonly isBound?: boolean;
}

/** Runs the passes of one aggregation, one after the other. */
export type PassRunner = (pass: Pass) => Promise<void>;

/** A block of a pass, with the tensors that belong to it. */
export interface Plan {
  readonly kernel: number;
  readonly tensor: TensorSpec;
  readonly operands: readonly Operand[];
  readonly results: readonly Result[];
  readonly offset: number;
  readonly length: number;
}

/**
 * Runs a pass. Blocks are computed concurrently, but reduced and written in order: so the outcome does not depend on how many are
 * in flight, and a sink that hashes what it is given need not read it again.
 */
export function runPass(pass: Pass, executor: Executor, signal?: AbortSignal): Promise<void> {
  return runBlocks(pass, executor, signal, {
    from: 0,
    to: Infinity,
    take: async (partial, plan, results) => {
      pass.reduce?.(partial, { tensor: plan.tensor.name, offset: plan.offset });
      await Promise.all(plan.results.map(({ sink, name, dtype }, at) => sink.writeBytes(name, dataBytes(dtype, plan.offset), results[at]!)));
    },
  });
}

/** Some of the blocks of a pass, and what is done with each. */
export interface BlockRange {
  /** Positions in the order of the elements; `to` is exclusive. */
  readonly from: number;
  readonly to: number;
  /**
   * Called in order with a block's sums and the bytes of its results, which hold until the promise resolves. The next block follows as soon
   * as it has been called.
   */
  take(partial: Float64Array, plan: Plan, results: readonly Uint8Array[]): Promise<void>;
}

/** Runs some blocks of a pass, as {@link runPass} runs all. */
export async function runBlocks(pass: Pass, given: Executor, signal: AbortSignal | undefined, wanted: BlockRange): Promise<void> {
  const executor = pass.isBound === true ? new InlineExecutor() : given;
  const work = workOf(pass);
  const shapes = [...new Map(work.map((item) => [shapeKey(item), shapeOf(item)]))];
  const compiled = shapes.map(([, shape]) => compileKernel(pass.kernel, shape));
  const lanes = layLanes(work, pass.kernel, executor);
  for (const each of new Set(lanes.map((lane) => lane.executor))) each.begin(compiled);
  const kernels = new Map(shapes.map(([key], index) => [key, index]));
  const plans = range(planBlocks(work.map((item) => ({ ...item, kernel: kernels.get(shapeKey(item))! }))), wanted.from, wanted.to);
  let failed = false;
  const hasFailed = (): boolean => failed;
  let lastTurn = Promise.resolve();

  const drive = async ({ executor, slot }: Lane): Promise<void> => {
    for (let { value: plan } = plans.next(); plan !== undefined && !failed; { value: plan } = plans.next()) {
      const turn = lastTurn;
      let passOn!: () => void;
      lastTurn = new Promise((resolve) => {
        passOn = resolve;
      });
      try {
        if (signal?.aborted === true) throw new CancelledError('aggregation', { cause: signal.reason });
        const [partial, block] = await compute(plan, executor, slot);
        await turn;
        // Another slot may have failed meanwhile.
        if (hasFailed()) {
          passOn();
          return;
        }
        const buffer = executor.buffer(slot, 0);
        const writing = wanted.take(partial, plan, plan.results.map((result, at) => bytesOf(result, block.results[at]!, plan, buffer)));
        // Not at once: a sink may have computed for a while (a hash, a copy), and slots that are done wait for this thread.
        setImmediate(passOn);
        await writing;
      } catch (error) {
        failed = true;
        passOn();
        throw error;
      }
    }
  };
  // All slots must have let go of their buffers before an error leaves here.
  const outcomes = await Promise.allSettled(lanes.map((lane) => drive(lane)));
  const failure = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
}

/** One of the places where blocks are computed, one at a time. */
interface Lane {
  readonly executor: Executor;
  readonly slot: number;
}

/**
 * The executor's slots, and the calling thread where it has memory that the executor's threads cannot read. To hand that over takes
 * about as long as to go through it: so it computes as well, and alone where a pass does little more than go through its operands.
 */
function layLanes(work: readonly WorkItem[], kernel: KernelSpec, executor: Executor): readonly Lane[] {
  const lanes = lanesOf(executor);
  if (!work.some(({ operands }) => operands.some((operand) => isOutOfReach(operand, executor)))) return lanes;
  const here = lanesOf(new InlineExecutor());
  return isStreaming(kernel) ? here : [...lanes, here[0]!];
}

function lanesOf(executor: Executor): readonly Lane[] {
  return Array.from({ length: executor.slots }, (_, slot) => ({ executor, slot }));
}

function isOutOfReach({ source, name }: Operand, executor: Executor): boolean {
  const place = source.locate?.(name);
  return place !== undefined && !executor.reaches(place);
}

type WorkItem = Pick<Plan, 'tensor' | 'operands' | 'results'>;

function workOf(pass: Pass): readonly WorkItem[] {
  return pass.tensors.map((tensor) => ({ tensor, operands: pass.operands(tensor), results: pass.results?.(tensor) ?? [] }));
}

/** The blocks of a pass in the order of the elements: a function of its tensors' names, shapes and element types alone. */
export function blocksOf(pass: Pass): Generator<Plan, undefined> {
  return planBlocks(workOf(pass).map((item) => ({ ...item, kernel: 0 })));
}

function* range<T>(items: Iterable<T>, from: number, to: number): Generator<T, undefined> {
  let position = 0;
  for (const item of items) {
    if (position >= to) return;
    if (position++ >= from) yield item;
  }
}

function shapeOf({ operands, results }: WorkItem): KernelShape {
  return { operands: operands.map(({ dtype }) => dtype), results: results.map(({ dtype }) => dtype) };
}

function shapeKey(item: WorkItem): string {
  return JSON.stringify(shapeOf(item));
}

function* planBlocks(work: readonly (WorkItem & { readonly kernel: number })[]): Generator<Plan, undefined> {
  for (const item of work) {
    const shape = shapeOf(item);
    const tile = tileLength(shape);
    const tileBytes = [...shape.operands, ...shape.results].reduce((sum, dtype) => sum + dataBytes(dtype, tile) + scaleBytes(dtype, tile), 0);
    const tiles = Math.min(Math.floor(MAX_BLOCK_ELEMENTS / tile), Math.max(1, Math.floor(BLOCK_BYTES / tileBytes)));
    const count = elementCount(item.tensor.shape);
    for (let offset = 0; offset < count; offset += tiles * tile) {
      yield { ...item, offset, length: Math.min(tiles * tile, count - offset) };
    }
  }
}

/** Has a block computed; its results lie in the slot's buffer. */
async function compute(plan: Plan, executor: Executor, slot: number): Promise<[Float64Array, Block]> {
  const block = await layOut(plan, executor, slot, (place) => executor.reaches(place));
  try {
    return [await executor.run(slot, block), block];
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    // Whoever owns the file says what is wrong with it; should it have been for a moment only, the work goes on.
    const staged = await layOut(plan, executor, slot, () => false);
    return [await executor.run(slot, staged), staged];
  }
}

/** Says where everything is. What the threads cannot fetch themselves is read into the slot's buffer. */
async function layOut(plan: Plan, executor: Executor, slot: number, reaches: (place: TensorPlace) => boolean): Promise<Block> {
  const { kernel, tensor, operands, results, offset, length } = plan;
  let position = 0;
  const take = (bytes: number): number => {
    const begin = position;
    position = Math.ceil((begin + bytes) / 8) * 8;
    return begin;
  };
  const staged: { readonly source: TensorSource; readonly name: string; readonly from: number; readonly size: number; readonly begin: number }[] = [];
  const place = (source: TensorSource, name: string, from: number, size: number): BlockPlace => {
    const own = source.locate?.(name);
    if (own !== undefined && reaches(own)) return { kind: 'own', place: own, begin: from };
    const begin = take(size);
    staged.push({ source, name, from, size, begin });
    return { kind: 'buffer', begin };
  };
  const block = {
    kernel,
    tensor: tensor.name,
    offset,
    length,
    operands: operands.map(({ source, name, dtype }) => ({
      data: place(source, name, dataBytes(dtype, offset), dataBytes(dtype, length)),
      scales: dtype === 'I8' ? place(source, scaleName(name), scaleBytes(dtype, offset), scaleBytes(dtype, length)) : null,
    })),
    results: results.map(({ sink, name, dtype }): BlockPlace => {
      const own = sink.locate?.(name);
      if (own !== undefined && executor.reaches(own)) return { kind: 'own', place: own, begin: dataBytes(dtype, offset) };
      return { kind: 'buffer', begin: take(dataBytes(dtype, length)) };
    }),
  };
  const buffer = executor.buffer(slot, position);
  await Promise.all(staged.map(({ source, name, from, size, begin }) => source.readBytes(name, from, new Uint8Array(buffer, begin, size))));
  return block;
}

function bytesOf({ dtype }: Result, place: BlockPlace, { length }: Plan, buffer: ArrayBufferLike): Uint8Array {
  const size = dataBytes(dtype, length);
  return place.kind === 'own' && place.place.kind === 'memory' ? place.place.bytes.subarray(place.begin, place.begin + size) : new Uint8Array(buffer, place.begin, size);
}
