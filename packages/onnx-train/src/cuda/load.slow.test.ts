import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fakeLibrary } from '../../test/fake-library.ts';
import { runtimeFolder } from '../session/runtime-folder.ts';
import { describeRuntime } from './use-cuda.ts';
import { lateLibraries } from './needs.ts';

const INDEX = JSON.stringify(fileURLToPath(new URL('../index.ts', import.meta.url)));

let root: string;

/** Runs code against this package in a process of its own, for onnxruntime is loaded once in a process. */
function inProcess(code: string): Promise<{ out: unknown; err: string }> {
  const script = `
    const { createSession, currentCudaState, encodeModel, forgetCuda, GraphBuilder, ops, useCuda } = await import(${INDEX});
    const { readFileSync } = await import('node:fs');
    const graph = new GraphBuilder('probe');
    const x = graph.input('x', 'float32', [1]);
    graph.output('y', ops.add(x, x));
    const start = async (device) => {
      try {
        const session = await createSession(encodeModel(graph), { device });
        const { y } = await session.run({ x: { dtype: 'float32', shape: [1], data: new Float32Array([3]) } });
        await session.close();
        return y.data[0];
      } catch ({ code, message, hint }) {
        return { code, message, hint };
      }
    };
    ${code}
    process.stdout.write(JSON.stringify(result));
  `;
  return new Promise((resolve, reject) => {
    const env = { ...process.env, ZK0_HOME: join(root, 'home'), VIRTUAL_ENV: '', CONDA_PREFIX: '', LD_LIBRARY_PATH: '', NODE_OPTIONS: '' };
    execFile(process.execPath, ['--conditions=@zk0/source', '--input-type=module', '--eval', script], { env }, (error, out, err) => {
      if (error) reject(new Error(err));
      else resolve({ out: JSON.parse(out), err });
    });
  });
}

describe.skipIf(process.platform !== 'linux' || process.arch !== 'x64')('a linked provider', { timeout: 120_000 }, () => {
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'zk0-load-'));
    const folder = join(root, 'libraries');
    mkdirSync(folder);
    const { version } = describeRuntime(join(runtimeFolder(), 'libonnxruntime.so.1'));
    const put = (name: string, needed: readonly string[] = [], text = ''): void => {
      writeFileSync(join(folder, name), fakeLibrary({ soname: name, needed, text }));
    };
    put('libonnxruntime_providers_cuda.so', ['libcublas.so.13', 'libcuda.so.1'], version);
    put('libonnxruntime_providers_shared.so');
    for (const name of ['libcublas.so.13', 'libcuda.so.1', ...lateLibraries(13)]) put(name);
  });
  afterAll(() => {
    rmSync(root, { recursive: true });
  });

  it('decides where onnxruntime looks, with what it needs loaded before it; the processor computes as ever', async () => {
    expect(await inProcess(`const result = [currentCudaState().kind, await start('cuda')];`)).toMatchObject({
      out: ['none', { code: 'DEVICE_UNAVAILABLE', message: 'device cuda needs a library that is not installed', hint: expect.stringContaining('zk0-client cuda use') as string }],
    });
    await inProcess(`const result = useCuda(${JSON.stringify(join(root, 'libraries'))});`);
    const { out, err } = await inProcess(`
      const cuda = await start('cuda');
      const maps = readFileSync('/proc/self/maps', 'utf8');
      const result = { cuda, cpu: await start('cpu'), loaded: ['libcublas.so.13', 'libcudnn.so.9', 'libcuda.so.1'].filter((name) => maps.includes(name)) };
    `);
    expect(out).toMatchObject({ cpu: 6, cuda: { code: 'DEVICE_UNAVAILABLE' }, loaded: ['libcublas.so.13', 'libcudnn.so.9', 'libcuda.so.1'] });
    // The stand-in is no provider; that onnxruntime refuses it shows which file it opened.
    expect(err).toContain(join(root, 'home/cuda/libonnxruntime_providers_shared.so'));
  });

  it('that asks the driver for what it does not have yet says that the driver is too old', async () => {
    const folder = join(root, 'newer');
    cpSync(join(root, 'libraries'), folder, { recursive: true });
    writeFileSync(join(folder, 'libonnxruntime_providers_cuda.so'), fakeLibrary({
      soname: 'libonnxruntime_providers_cuda.so',
      needed: ['libcublas.so.13', 'libcuda.so.1'],
      text: describeRuntime(join(runtimeFolder(), 'libonnxruntime.so.1')).version,
      symbol: 'cuTensorMapEncodeTiled',
    }));
    const { out } = await inProcess(`
      useCuda(${JSON.stringify(folder)});
      const result = await start('cuda');
    `);
    expect(out).toEqual({
      code: 'DEVICE_UNAVAILABLE',
      message: expect.stringContaining('NVIDIA\'s driver is too old for CUDA 13: its libcuda.so.1 has no cuTensorMapEncodeTiled') as string,
      hint: expect.stringContaining('CUDA 13 needs 580 or newer') as string,
    });
    await inProcess(`const result = useCuda(${JSON.stringify(join(root, 'libraries'))});`);
  });

  it('that has changed is named before a session is made, and the processor computes as ever', async () => {
    writeFileSync(join(root, 'libraries/libcublas.so.13'), fakeLibrary({ text: 'another' }));
    const { out } = await inProcess(`const result = [await start('cuda'), await start('cpu')];`);
    const message = `device cuda cannot be used: ${join(root, 'libraries/libcublas.so.13')} has changed since CUDA was linked with it`;
    expect(out).toMatchObject([{ code: 'DEVICE_UNAVAILABLE', message }, 6]);
    expect((await inProcess(`const result = [forgetCuda(), currentCudaState().kind];`)).out).toEqual([true, 'none']);
  });
});
