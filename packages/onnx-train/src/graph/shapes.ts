import { GraphError } from '../errors.ts';

/** Shape as people read it. */
export function format(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`;
}

/** Numpy-style broadcasting of two shapes. */
export function broadcast(op: string, a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const left = a[axis - rank + a.length] ?? 1;
    const right = b[axis - rank + b.length] ?? 1;
    if (left !== right && left !== 1 && right !== 1) {
      throw new GraphError(`${op}: shapes ${format(a)} and ${format(b)} do not broadcast`);
    }
    return left === 1 ? right : left;
  });
}

/** An axis counted from the front; negative ones count from the back. */
export function normalizeAxis(op: string, axis: number, rank: number): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
    throw new GraphError(`${op}: axis ${axis} of a tensor with ${rank} axes`);
  }
  return axis < 0 ? axis + rank : axis;
}

/** Distinct axes, counted from the front, ascending. */
export function normalizeAxes(op: string, axes: readonly number[], rank: number): number[] {
  const found = axes.map((axis) => normalizeAxis(op, axis, rank));
  if (new Set(found).size !== found.length) throw new GraphError(`${op}: axes ${format(axes)} repeat`);
  return found.sort((a, b) => a - b);
}

/** The permutation that undoes `perm`. */
export function inversePermutation(perm: readonly number[]): number[] {
  const inverse = new Array<number>(perm.length);
  perm.forEach((from, to) => {
    inverse[from] = to;
  });
  return inverse;
}

/** `[0, 1, …, rank − 1]` with the last two exchanged. */
export function swapLastTwo(rank: number): number[] {
  const perm = Array.from({ length: rank }, (_, axis) => axis);
  perm.push(...perm.splice(rank - 2, 2).reverse());
  return perm;
}
