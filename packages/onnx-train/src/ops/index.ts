/**
 * @module
 * ONNX operators as functions on values. Every one checks its operands and knows its result's shape.
 */
export {
  abs,
  add,
  addAll,
  and,
  cast,
  cos,
  div,
  equal,
  erf,
  exp,
  gelu,
  greater,
  greaterOrEqual,
  less,
  lessOrEqual,
  log,
  max,
  min,
  mul,
  neg,
  not,
  or,
  pow,
  reciprocal,
  relu,
  sigmoid,
  sign,
  sin,
  sqrt,
  sub,
  tanh,
  where,
} from './elementwise.ts';
export {
  concat,
  expand,
  fill,
  gather,
  identity,
  pad,
  reshape,
  scatterAdd,
  slice,
  split,
  squeeze,
  transpose,
  unsqueeze,
} from './layout.ts';
export { loop, type LoopResult, type LoopScope, type LoopStep } from './loop.ts';
export {
  conv2d,
  fusedMatMul,
  gemm,
  matMul,
  type Conv2dOptions,
  type FusedMatMulOptions,
  type GemmOptions,
} from './matmul.ts';
export { layerNormalization, simplifiedLayerNormalization } from './normalization.ts';
export type { Operand } from './operand.ts';
export { cumSum, logSoftmax, reduceMax, reduceMean, reduceSum, softmax, type ReduceOptions } from './reduce.ts';
