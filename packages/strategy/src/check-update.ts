import { DTYPE_BYTES, elementCount, sameShape, type Dtype, type TensorSource, type TensorSpec } from '@zk0/core';
import type { ClientUpdate } from './contract.ts';
import { INT8_BLOCK, isAveraged, scaleName, specsByName, type Operand, type StoredDtype } from './engine/operands.ts';
import { runPass, type PassRunner } from './engine/pass.ts';
import { withExecutor, type WorkerPool } from './engine/pool.ts';
import { AggregationError, UpdateRejectedError } from './errors.ts';

/** Above this a client's example count is taken for an attempt to own the mean. */
export const MAX_EXAMPLES = 1_000_000_000_000;
/** Above this the sum of many clients' control variates could leave float32. */
const MAX_CONTROL_NORM = 1e18;

/** How the tensors of a control variate are told from those of the parameters. */
const CONTROL = 'control/';

/** What updates are checked against, beyond names, shapes, counts and finiteness. */
export interface UpdateGuards {
  /** Largest allowed ‖update − base‖ over all tensors; no limit by default. */
  readonly maxUpdateNorm?: number;
  /** Element types that an update's tensors may have beside the parameters' own (e.g. a negotiated `BF16`). */
  readonly acceptedDtypes?: readonly ('F32' | 'BF16' | 'F16' | 'I8')[];
  /** Whether every update must have a `control`; the strategy says so, not its user. */
  readonly needsControl?: boolean;
  /** Largest allowed norm of a change of a control variate; far from float32's end by default. */
  readonly maxControlNorm?: number;
}

/** What reading an update through has shown. */
export interface UpdateInspection {
  /** ‖update − base‖ over all tensors. */
  readonly norm: number;
}

/** What {@link checkUpdate} compares with. */
export interface CheckContext {
  /** The round's global parameters. */
  readonly global: TensorSource;
  readonly guards?: UpdateGuards;
  readonly signal?: AbortSignal;
  /** Threads to read it on; the calling one by default. */
  readonly workers?: number | WorkerPool;
}

/**
 * Reads an update through once and refuses it when it must not be aggregated. Call it when the update arrives, and pass
 * the result on as {@link ClientUpdate.inspection}.
 *
 * @throws UpdateRejectedError naming client and tensor.
 */
export async function checkUpdate(update: ClientUpdate, context: CheckContext): Promise<UpdateInspection> {
  checkDeclared(update, context.global.specs, context.guards);
  return withExecutor(context.workers ?? 0, (executor) => inspectUpdate(update, context, (pass) => runPass(pass, executor, context.signal)));
}

/**
 * The checks that need no data: example count, metrics, names, shapes, dtypes.
 *
 * @throws UpdateRejectedError naming client and tensor.
 */
export function checkDeclared(update: ClientUpdate, specs: readonly TensorSpec[], guards: UpdateGuards = {}): void {
  const { clientId, numExamples, maxExamples, metrics, staleness = 0 } = update;
  if (!Number.isInteger(numExamples) || numExamples < 1 || numExamples > MAX_EXAMPLES) {
    throw new UpdateRejectedError('UPDATE_BAD_EXAMPLE_COUNT', clientId, `${numExamples} is not a possible number of examples`, {
      hint: `Report the number of samples trained on: 1 to ${MAX_EXAMPLES}.`,
    });
  }
  if (maxExamples !== undefined && numExamples > maxExamples) {
    throw new UpdateRejectedError('UPDATE_BAD_EXAMPLE_COUNT', clientId, `it claims ${numExamples} examples, and had ${maxExamples} when it joined`, {
      hint: 'Start the client again when its recordings have changed.',
    });
  }
  for (const [name, value] of Object.entries(metrics)) {
    if (!Number.isFinite(value)) {
      throw new UpdateRejectedError('UPDATE_BAD_METRIC', clientId, `metric ${name} is ${value}`);
    }
  }
  if (!Number.isInteger(staleness) || staleness < 0) {
    throw new UpdateRejectedError('UPDATE_BAD_METRIC', clientId, `a staleness of ${staleness} is not possible`);
  }
  checkTensors(clientId, update.tensors, specs, guards);
  if (update.base !== undefined) checkTensors(clientId, update.base, specs, {});
  if (update.control !== undefined) {
    const acceptedDtypes = ['F32' as const, ...(guards.acceptedDtypes ?? [])];
    checkTensors(clientId, update.control, specs, { acceptedDtypes }, CONTROL);
  } else if (guards.needsControl === true) {
    throw new UpdateRejectedError('UPDATE_INCOMPLETE', clientId, 'SCAFFOLD needs the change of the control variate', {
      hint: 'Run the same zk0 release on both sides.',
    });
  }
}

/**
 * Reads an update's data.
 *
 * @throws UpdateRejectedError when a value is not finite or the norm is above the guard.
 */
export async function inspectUpdate(update: ClientUpdate, context: Pick<CheckContext, 'global' | 'guards'>, run: PassRunner): Promise<UpdateInspection> {
  const { global, guards = {} } = context;
  const base = update.kind === 'delta' ? null : (update.base ?? global);
  const norm = await inspectTensors(update.clientId, update.tensors, base, global.specs, run);
  if (update.control !== undefined) {
    const change = await inspectTensors(update.clientId, update.control, null, global.specs, run, CONTROL);
    const { maxControlNorm = MAX_CONTROL_NORM } = guards;
    if (change > maxControlNorm) {
      throw new UpdateRejectedError(
        'UPDATE_NORM_TOO_LARGE',
        update.clientId,
        `the change of its control variate: its norm is ${change.toPrecision(6)}, above the guard of ${maxControlNorm}`,
        { hint: 'Raise maxControlNorm on the server if such changes are expected.' },
      );
    }
  }
  if (guards.maxUpdateNorm !== undefined && norm > guards.maxUpdateNorm) {
    throw new UpdateRejectedError(
      'UPDATE_NORM_TOO_LARGE',
      update.clientId,
      `the update's norm is ${norm.toPrecision(6)}, above the guard of ${guards.maxUpdateNorm}`,
      { hint: 'Lower the learning rate, or raise maxUpdateNorm on the server if such updates are expected.' },
    );
  }
  return { norm };
}

async function inspectTensors(
  clientId: string,
  tensors: TensorSource,
  base: TensorSource | null,
  specs: readonly TensorSpec[],
  run: PassRunner,
  prefix = '',
): Promise<number> {
  const operand = operands(tensors);
  const baseOperand = base === null ? null : operands(base);
  let sumOfSquares = 0;
  await run({
    tensors: specs,
    kernel: { kind: 'inspect' },
    operands: ({ name }) => (baseOperand === null ? [operand(name)] : [operand(name), baseOperand(name)]),
    reduce: ([firstBad, sum], block) => {
      if (firstBad! >= 0) {
        throw new UpdateRejectedError('UPDATE_NON_FINITE', clientId, `element ${block.offset + firstBad!} is not finite`, {
          tensor: `${prefix}${block.tensor}`,
          hint: 'The training diverged: lower the learning rate.',
        });
      }
      sumOfSquares += sum!;
    },
  });
  if (!Number.isFinite(sumOfSquares)) {
    throw new AggregationError('NON_FINITE_GLOBAL', 'the parameters that the update is compared with are not finite', {
      hint: 'Go back to the last checkpoint that evaluates.',
    });
  }
  return Math.sqrt(sumOfSquares);
}

/** Looks tensors up in a source that has passed its checks. */
export function operands(source: TensorSource): (name: string) => Operand {
  const specs = specsByName(source.specs);
  return (name) => ({ source, name, dtype: specs.get(name)!.dtype as StoredDtype });
}

/** @param prefix how tensors are told from the parameters of the same names. */
function checkTensors(clientId: string, source: TensorSource, expected: readonly TensorSpec[], guards: UpdateGuards, prefix = ''): void {
  const present = specsByName(source.specs);
  const scales = new Set<string>();
  for (const spec of expected) {
    const found = present.get(spec.name);
    if (found === undefined) {
      throw new UpdateRejectedError('UPDATE_MISSING_TENSOR', clientId, 'the update does not have it', { tensor: `${prefix}${spec.name}` });
    }
    if (!sameShape(found.shape, spec.shape)) {
      throw new UpdateRejectedError('UPDATE_WRONG_SHAPE', clientId, `shape [${found.shape.join(', ')}], not [${spec.shape.join(', ')}]`, {
        tensor: `${prefix}${spec.name}`,
      });
    }
    if (found.dtype !== spec.dtype && !(guards.acceptedDtypes as readonly Dtype[] | undefined)?.includes(found.dtype)) {
      throw new UpdateRejectedError('UPDATE_WRONG_DTYPE', clientId, `${found.dtype}, not ${spec.dtype}`, { tensor: `${prefix}${spec.name}` });
    }
    if (found.dtype === 'I8') scales.add(checkScales(clientId, present, spec));
  }
  const names = new Set(expected.map(({ name }) => name));
  for (const { name } of source.specs) {
    if (!names.has(name) && !scales.has(name)) {
      throw new UpdateRejectedError('UPDATE_UNKNOWN_TENSOR', clientId, 'the global parameters do not have it', { tensor: `${prefix}${name}` });
    }
  }
}

function checkScales(clientId: string, present: ReadonlyMap<string, TensorSpec>, { name, shape }: TensorSpec): string {
  const count = Math.ceil(elementCount(shape) / INT8_BLOCK);
  const scales = present.get(scaleName(name));
  if (scales?.dtype !== 'F32' || !sameShape(scales.shape, [count])) {
    throw new UpdateRejectedError('UPDATE_WRONG_DTYPE', clientId, `int8 without ${count} float32 scales in ${scaleName(name)}`, {
      tensor: name,
    });
  }
  return scales.name;
}

/**
 * The global parameters must be floating-point tensors of a type that can be averaged.
 *
 * @throws AggregationError naming the tensor that cannot.
 */
export function checkParameters(specs: readonly TensorSpec[]): void {
  for (const { name, dtype } of specs) {
    if (!isAveraged(dtype)) {
      throw new AggregationError('UNSUPPORTED_TENSOR', `tensor ${name} is ${dtype} (${DTYPE_BYTES[dtype]} bytes an element)`, {
        hint: 'Federate only trained floating-point tensors (F32, BF16, F16); counters and statistics stay local.',
      });
    }
  }
}
