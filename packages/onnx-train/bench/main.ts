/**
 * What the machine can do and what this package makes of it: the rate of one large matrix product, AdamW over 100 M
 * weights, and a transformer's training step next to both. Run with `npx nx bench onnx-train`.
 */
import { elementCount, Random } from '@zk0/core';
import { availableParallelism, cpus } from 'node:os';
import {
  createSession,
  encodeModel,
  gradients,
  GraphBuilder,
  nn,
  Optimizer,
  ops,
  OPSET,
  sharedTensor,
  type Session,
  type Tensor,
  type Value,
} from '../src/index.ts';

const THREADS = Number(process.env['ZK0_BENCH_THREADS'] ?? availableParallelism());
const ROUNDS = 7;

async function median(work: () => Promise<unknown>): Promise<number> {
  await work();
  const seconds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const begun = performance.now();
    await work();
    seconds.push((performance.now() - begun) / 1000);
  }
  return seconds.sort((a, b) => a - b)[ROUNDS >> 1]!;
}

const random = new Random('bench');

/** Shared memory for every input of a session, filled with small random numbers. */
function feedsOf(session: Session): Record<string, Tensor> {
  return Object.fromEntries(
    [...session.inputs].map(([name, { shape }]) => {
      const tensor = sharedTensor('float32', shape);
      const data = tensor.data as Float32Array;
      const scale = 1 / Math.sqrt(shape.at(-1) ?? 1);
      for (let index = 0; index < data.length; index++) data[index] = (2 * random.uniform() - 1) * scale;
      return [name, tensor];
    }),
  );
}

async function rateOf(graph: GraphBuilder, flop: number): Promise<{ seconds: number; rate: number }> {
  const session = await createSession(encodeModel(graph), { threads: THREADS });
  const feeds = feedsOf(session);
  const into = Object.fromEntries([...session.outputs].map(([name, { shape }]) => [name, sharedTensor('float32', shape)]));
  const seconds = await median(() => session.run(feeds, { into }));
  await session.close();
  return { seconds, rate: flop / seconds / 1e9 };
}

function matrixProduct(rows: number, inner: number, columns: number): GraphBuilder {
  const graph = new GraphBuilder('matmul');
  const product = ops.matMul(graph.input('a', 'float32', [rows, inner]), graph.input('b', 'float32', [inner, columns]));
  // One number out, so that the result's way back is not measured.
  graph.output('y', ops.reduceMax(product));
  return graph;
}

const [BATCH, TOKENS, WIDTH, HEADS, GROUPS, SIZE, HIDDEN, LAYERS] = [8, 50, 720, 15, 5, 64, 2048, 4];

/** Layers of SmolVLA's action expert: grouped-query attention and SwiGLU behind RMS norms. */
function transformer(withGradients: boolean): { graph: GraphBuilder; flop: number } {
  const graph = new GraphBuilder('transformer');
  const weights: Value[] = [];
  const weight = (...shape: number[]): Value => {
    weights.push(graph.input(`w${weights.length}`, 'float32', shape));
    return weights.at(-1)!;
  };
  const first = graph.input('x', 'float32', [BATCH, TOKENS, WIDTH]);
  let x = first;
  for (let layer = 0; layer < LAYERS; layer++) {
    const h = nn.rmsNorm(x, weight(WIDTH));
    const query = nn.splitHeads(nn.linear(h, weight(HEADS * SIZE, WIDTH)), HEADS);
    const key = nn.splitHeads(nn.linear(h, weight(GROUPS * SIZE, WIDTH)), GROUPS);
    const value = nn.splitHeads(nn.linear(h, weight(GROUPS * SIZE, WIDTH)), GROUPS);
    x = ops.add(x, nn.linear(nn.mergeHeads(nn.attention(query, key, value)), weight(WIDTH, HEADS * SIZE)));
    const n = nn.rmsNorm(x, weight(WIDTH));
    const gated = ops.mul(nn.silu(nn.linear(n, weight(HIDDEN, WIDTH))), nn.linear(n, weight(HIDDEN, WIDTH)));
    x = ops.add(x, nn.linear(gated, weight(WIDTH, HIDDEN)));
  }
  const loss = ops.reduceMean(ops.mul(x, x));
  graph.output('loss', loss);
  if (withGradients) {
    gradients(loss, weights).forEach((gradient, index) => {
      graph.output(`g${index}`, gradient);
    });
  }
  const count = weights.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const attention = LAYERS * BATCH * HEADS * TOKENS * TOKENS * SIZE * 4;
  return { graph, flop: (withGradients ? 3 : 1) * (2 * BATCH * TOKENS * count + attention) };
}

async function adamW(count: number, isCorrected: boolean): Promise<number> {
  const tensors = 100;
  const memory = (): Record<string, Float32Array> =>
    Object.fromEntries(
      Array.from({ length: tensors }, (_, index) => {
        const data = sharedTensor('float32', [count / tensors]).data as Float32Array;
        return [`w${index}`, data.fill(0.01 * (index + 1))];
      }),
    );
  const optimizer = new Optimizer({
    rule: { kind: 'adamw' },
    weights: memory(),
    gradients: memory(),
    ...(isCorrected && { correction: memory() }),
    maxGradientNorm: 10,
    threads: THREADS,
  });
  const seconds = await median(() => optimizer.step(1e-4));
  await optimizer.close();
  return seconds;
}

function row(what: string, seconds: number, rate?: number): void {
  const gflops = rate === undefined ? '' : `${rate.toFixed(0)} GFLOP/s`;
  process.stdout.write(`${what.padEnd(56)} ${seconds.toFixed(3).padStart(8)} s  ${gflops}\n`);
}

process.stdout.write(`${cpus()[0]!.model}, ${THREADS} threads, Node ${process.version}, opset ${OPSET}, median of ${ROUNDS}\n`);
for (const [m, k, n] of [[1024, 1024, 1024], [400, 720, 2048], [720, 400, 2048]] as const) {
  const { seconds, rate } = await rateOf(matrixProduct(m, k, n), 2 * m * k * n);
  row(`matmul [${m}, ${k}] · [${k}, ${n}]`, seconds, rate);
}
for (const withGradients of [false, true]) {
  const { graph, flop } = transformer(withGradients);
  const { seconds, rate } = await rateOf(graph, flop);
  row(`${LAYERS} layers, batch ${BATCH}, ${TOKENS} tokens: forward${withGradients ? ' and backward' : ''}`, seconds, rate);
}
row('AdamW with clipping over 100 M weights', await adamW(100e6, false));
row('the same with SCAFFOLD’s correction', await adamW(100e6, true));
