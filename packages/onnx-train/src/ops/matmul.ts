import { GraphError } from '../errors.ts';
import { broadcast, format } from '../graph/shapes.ts';
import type { Value } from '../graph/value.ts';
import { add, cast, mul } from './elementwise.ts';
import { narrowed } from './narrowed.ts';
import { apply, innermost, requireFloat, sameType } from './operand.ts';

/** Matrix product over the last two axes, broadcasting the ones before; both operands have at least two axes. */
export function matMul(a: Value, b: Value): Value {
  const shape = matMulShape('MatMul', a, b, false, false);
  return product('MatMul', a, b, (left, right) => apply('MatMul', [left, right], { dtype: left.dtype, shape }));
}

/** Writes a product in the element type that its graph has for products; float32 operands give a float32 result. */
function product(op: string, a: Value, b: Value, write: (a: Value, b: Value) => Value): Value {
  const { products } = innermost(op, [a, b]);
  if (a.dtype !== 'float32' || products === 'float32') return write(a, b);
  return cast(write(narrowed(a, products), narrowed(b, products)), 'float32');
}

/** Options of {@link fusedMatMul}. */
export interface FusedMatMulOptions {
  readonly transA?: boolean;
  readonly transB?: boolean;
  /** Factor on the product. */
  readonly alpha?: number;
}

/**
 * `alpha · op(a) · op(b)` where `op` may exchange the last two axes, read in place instead of written out. This is
 * onnxruntime's own operator (`com.microsoft`), which its optimiser also makes of `MatMul` behind `Transpose`.
 */
export function fusedMatMul(a: Value, b: Value, options: FusedMatMulOptions = {}): Value {
  const { transA = false, transB = false, alpha = 1 } = options;
  const shape = matMulShape('FusedMatMul', a, b, transA, transB);
  const attributes = { transA: transA ? 1 : 0, transB: transB ? 1 : 0, alpha: { float: alpha } };
  return product('FusedMatMul', a, b, (left, right) =>
    apply('FusedMatMul', [left, right], { dtype: left.dtype, shape }, attributes, 'com.microsoft'),
  );
}

/** Options of {@link gemm}. */
export interface GemmOptions {
  readonly transA?: boolean;
  readonly transB?: boolean;
  readonly alpha?: number;
  readonly beta?: number;
  /** Added to the product, broadcasting to its shape. */
  readonly c?: Value;
}

/** `alpha · op(a) · op(b) + beta · c` for matrices (exactly two axes). */
export function gemm(a: Value, b: Value, options: GemmOptions = {}): Value {
  const { transA = false, transB = false, alpha = 1, beta = 1, c } = options;
  if (a.shape.length !== 2 || b.shape.length !== 2) {
    throw new GraphError(`Gemm: operands ${format(a.shape)} and ${format(b.shape)} are not both matrices`);
  }
  const shape = matMulShape('Gemm', a, b, transA, transB);
  if (c !== undefined) {
    sameType('Gemm', [a, c]);
    if (broadcast('Gemm', c.shape, shape).some((size, axis) => size !== shape[axis])) {
      throw new GraphError(`Gemm: c ${format(c.shape)} does not broadcast to ${format(shape)}`);
    }
  }
  const attributes = {
    transA: transA ? 1 : 0,
    transB: transB ? 1 : 0,
    alpha: { float: alpha },
    beta: { float: beta },
  };
  const write = (...inputs: Value[]): Value => apply('Gemm', inputs, { dtype: inputs[0]!.dtype, shape }, attributes);
  if (c === undefined) return product('Gemm', a, b, write);
  // What is added to a product in fewer bits keeps all of its own.
  if (innermost('Gemm', [a, b, c]).products === 'float32' || a.dtype !== 'float32') return write(a, b, c);
  return add(product('Gemm', a, b, write), beta === 1 ? c : mul(c, beta));
}

function matMulShape(op: string, a: Value, b: Value, transA: boolean, transB: boolean): number[] {
  sameType(op, [a, b]);
  requireFloat(op, a);
  if (a.shape.length < 2 || b.shape.length < 2) {
    throw new GraphError(`${op}: operands ${format(a.shape)} and ${format(b.shape)} need two axes or more`);
  }
  const [rows, innerA] = transA ? [a.shape.at(-1)!, a.shape.at(-2)!] : [a.shape.at(-2)!, a.shape.at(-1)!];
  const [innerB, columns] = transB ? [b.shape.at(-1)!, b.shape.at(-2)!] : [b.shape.at(-2)!, b.shape.at(-1)!];
  if (innerA !== innerB) {
    throw new GraphError(`${op}: inner sizes ${innerA} and ${innerB} of ${format(a.shape)} and ${format(b.shape)} differ`);
  }
  return [...broadcast(op, a.shape.slice(0, -2), b.shape.slice(0, -2)), rows, columns];
}

/** Options of {@link conv2d}. */
export interface Conv2dOptions {
  /** [output channels]. */
  readonly bias?: Value;
  readonly strides?: readonly [number, number];
  /** Zeros added at top, left, bottom, right. */
  readonly pads?: readonly [number, number, number, number];
}

/** Two-dimensional convolution: `x` [batch, channels, height, width], `weight` [output channels, channels, kh, kw]. */
export function conv2d(x: Value, weight: Value, options: Conv2dOptions = {}): Value {
  const { bias, strides = [1, 1], pads = [0, 0, 0, 0] } = options;
  sameType('Conv', bias === undefined ? [x, weight] : [x, weight, bias]);
  const [batch, channels, height, width] = x.shape;
  const [outputs, inputs, kernelHeight, kernelWidth] = weight.shape;
  if (x.shape.length !== 4 || weight.shape.length !== 4 || channels !== inputs) {
    throw new GraphError(`Conv: image ${format(x.shape)} and kernel ${format(weight.shape)} do not fit`);
  }
  if (bias !== undefined && (bias.shape.length !== 1 || bias.shape[0] !== outputs)) {
    throw new GraphError(`Conv: bias ${format(bias.shape)} for ${outputs!} channels`);
  }
  const rows = Math.floor((height! + pads[0] + pads[2] - kernelHeight!) / strides[0]) + 1;
  const columns = Math.floor((width! + pads[1] + pads[3] - kernelWidth!) / strides[1]) + 1;
  if (rows < 1 || columns < 1) throw new GraphError(`Conv: kernel ${format(weight.shape)} is larger than ${format(x.shape)}`);
  return apply(
    'Conv',
    bias === undefined ? [x, weight] : [x, weight, bias],
    { dtype: x.dtype, shape: [batch!, outputs!, rows, columns] },
    { strides, pads, kernel_shape: [kernelHeight!, kernelWidth!] },
  );
}
