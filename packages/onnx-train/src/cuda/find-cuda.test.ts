import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fakeLibrary, type FakeLibrary } from '../../test/fake-library.ts';
import { findCuda, type CudaInstallation, type InstalledRuntime } from './find-cuda.ts';
import type { SearchContext } from './folders.ts';
import { lateLibraries } from './needs.ts';

const RUNTIME: InstalledRuntime = { path: '/zk0/libonnxruntime.so.1', version: '1.30.0', commit: 'f2c39fe2f' };
const SITE = 'venv/lib/python3.12/site-packages';
const CAPI = `${SITE}/onnxruntime/capi`;

let root: string;
let context: SearchContext;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'zk0-cuda-'));
  context = { env: {}, cwd: join(root, 'cwd'), home: join(root, 'home'), root, runtimeFolder: join(root, 'runtime') };
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

function put(path: string, library: FakeLibrary): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), fakeLibrary(library));
}

/** A virtual environment as pip leaves it, with CUDA 13 or 12. */
function environment(major = 13, { version = '1.30.0', commit = 'f2c39fe2f' } = {}): void {
  const [blas, lt, rand, runtime] = [`libcublas.so.${major}`, `libcublasLt.so.${major}`, 'libcurand.so.10', `libcudart.so.${major}`] as const;
  put(`${CAPI}/libonnxruntime_providers_cuda.so`, { needed: [lt, blas, rand, runtime, 'libcuda.so.1', 'libstdc++.so.6'], text: version });
  put(`${CAPI}/libonnxruntime_providers_shared.so`, {});
  put(`${CAPI}/onnxruntime_pybind11_state.cpython-312-x86_64-linux-gnu.so`, { text: `ORT Build Info: git-commit-id=${commit}, build type=Release` });
  put(`${SITE}/nvidia/cublas/lib/${blas}`, { needed: [lt], runpath: '$ORIGIN' });
  put(`${SITE}/nvidia/cublas/lib/${lt}`, {});
  put(`${SITE}/nvidia/curand/lib/${rand}`, { needed: [runtime] });
  put(`${SITE}/nvidia/cuda_runtime/lib/${runtime}`, {});
  const [compiler, ...cudnn] = lateLibraries(major);
  put(`${SITE}/nvidia/cuda_nvrtc/lib/${compiler!}`, {});
  for (const part of cudnn) put(`${SITE}/nvidia/cudnn/lib/${part}`, { needed: part === 'libcudnn_ops.so.9' ? ['libcudnn_graph.so.9', 'libz.so.1'] : [] });
  put('usr/lib/x86_64-linux-gnu/libz.so.1', {});
}

const find = (from?: string): CudaInstallation => findCuda(RUNTIME, from, context);

/** What `find` throws: the message and what to do. */
function refusal(from?: string): { code: string; message: string; hint: string } {
  try {
    find(from);
  } catch (error) {
    return error as { code: string; message: string; hint: string };
  }
  throw new Error('nothing was refused');
}

describe('a search for CUDA', () => {
  it('finds an environment that is named, whole, as its packages, or as one folder of libraries', () => {
    environment();
    const found = find(join(root, 'venv'));
    expect(found).toMatchObject({ cudaMajor: 13, version: '1.30.0', commit: 'f2c39fe2f', provider: join(root, CAPI, 'libonnxruntime_providers_cuda.so') });
    const names = found.libraries.map(({ name }) => name);
    // Each stands behind what it needs, and what the system's loader finds by itself is left to it.
    expect(names).toEqual(['libcublasLt.so.13', 'libcublas.so.13', 'libcudart.so.13', 'libcurand.so.10', ...lateLibraries(13)]);
    expect(find(join(root, SITE)).libraries).toEqual(found.libraries);
    expect(find('../venv').libraries).toEqual(found.libraries);
    expect(found.absent.map(({ name }) => name)).toEqual(['libcuda.so.1', 'libcufft.so.12']);
    expect(found.absent[0]!.advice).toContain('driver');
  });

  it('finds the active environment and takes from a second place what the first lacks', () => {
    environment();
    rmSync(join(root, SITE, 'nvidia/curand'), { recursive: true });
    put('usr/local/cuda-13.0/lib64/libcurand.so.10', {});
    put('usr/lib/x86_64-linux-gnu/libcuda.so.1', {});
    context = { ...context, env: { VIRTUAL_ENV: join(root, 'venv') } };
    const { libraries, absent } = find();
    expect(libraries.find(({ name }) => name === 'libcurand.so.10')?.path).toBe(join(root, 'usr/local/cuda-13.0/lib64/libcurand.so.10'));
    expect(absent.map(({ name }) => name)).toEqual(['libcufft.so.12']);
    context = { ...context, env: { CONDA_PREFIX: join(root, 'venv') } };
    expect(find().libraries).toEqual(libraries);
  });

  it('decides between CUDA 12 and 13 by what the provider needs', () => {
    environment(12);
    rmSync(join(root, SITE, 'nvidia/cublas/lib/libcublas.so.12'));
    const { message, hint } = refusal(join(root, 'venv'));
    expect(message).toContain('libcublas.so.12');
    expect(hint).toContain('pip install "nvidia-cublas-cu12==12.*"');
    put(`${SITE}/nvidia/cublas/lib/libcublas.so.12`, {});
    expect(find(join(root, 'venv'))).toMatchObject({ cudaMajor: 12 });
  });

  it.each<readonly [string, string, string]>([
    ['libcublas.so.13', 'nvidia/cublas/lib', 'nvidia-cublas==13.*'],
    ['libcublasLt.so.13', 'nvidia/cublas/lib', 'nvidia-cublas==13.*'],
    ['libcurand.so.10', 'nvidia/curand/lib', 'nvidia-curand==10.*'],
    ['libcudart.so.13', 'nvidia/cuda_runtime/lib', 'nvidia-cuda-runtime==13.*'],
    ['libnvrtc.so.13', 'nvidia/cuda_nvrtc/lib', 'nvidia-cuda-nvrtc==13.*'],
    ...lateLibraries(13).slice(1).map((name) => [name, 'nvidia/cudnn/lib', 'nvidia-cudnn-cu13==9.*'] as const),
  ])('says of %s that it is missing, where it was looked for, and what brings it', (name, folder, requirement) => {
    environment();
    rmSync(join(root, SITE, folder, name));
    const { code, message, hint } = refusal(join(root, 'venv'));
    expect(code).toBe('CUDA_LIBRARY_NOT_FOUND');
    expect(message).toMatch(new RegExp(`^${name}, which .* needs, was not found; looked in --from ${root}/venv, the system’s folders$`));
    expect(hint).toBe(`Run \`pip install "${requirement}"\` in the Python environment that it is to come from.`);
  });

  it('says of system libraries and of the bridge that they are missing', () => {
    environment();
    rmSync(join(root, 'usr/lib/x86_64-linux-gnu/libz.so.1'));
    expect(refusal(join(root, 'venv'))).toMatchObject({ code: 'CUDA_LIBRARY_NOT_FOUND', hint: expect.stringContaining('zlib1g') as string });
    rmSync(join(root, CAPI, 'libonnxruntime_providers_shared.so'));
    expect(refusal(join(root, 'venv')).message).toMatch(/^libonnxruntime_providers_shared.so is not beside /);
  });

  it('refuses another version or commit, and says which line brings the right one', () => {
    environment(13, { version: '1.31.1' });
    const { code, message, hint } = refusal(join(root, 'venv'));
    expect(code).toBe('CUDA_PROVIDER_MISMATCH');
    expect(message).toContain('is of version 1.31.1; the onnxruntime that is installed here is 1.30.0');
    expect(hint).toContain('pip install "onnxruntime-gpu[cuda,cudnn]==1.30.0"');
    environment(13, { commit: '0123456789' });
    expect(refusal(join(root, 'venv')).message).toContain('was built from commit 0123456789; the onnxruntime that is installed here from f2c39fe2f');
  });

  it('goes past an environment that does not fit to one that does, unless one is named', () => {
    environment();
    put('cwd/.venv/lib/python3.11/site-packages/onnxruntime/capi/libonnxruntime_providers_cuda.so', { needed: ['libcublas.so.12'], text: '1.20.0' });
    context = { ...context, env: { CONDA_PREFIX: join(root, 'cwd/.venv'), VIRTUAL_ENV: join(root, 'venv') } };
    expect(find().version).toBe('1.30.0');
    expect(refusal(join(root, 'cwd/.venv'))).toMatchObject({ code: 'CUDA_PROVIDER_MISMATCH', message: expect.stringContaining('1.20.0') as string });
  });

  it('accepts a provider whose commit nothing tells', () => {
    environment();
    rmSync(join(root, CAPI, 'onnxruntime_pybind11_state.cpython-312-x86_64-linux-gnu.so'));
    expect(find(join(root, 'venv')).commit).toBeUndefined();
  });

  it('refuses libraries that are cut off or for another processor', () => {
    environment();
    const path = join(root, SITE, 'nvidia/cudnn/lib/libcudnn_ops.so.9');
    truncateSync(path, 200);
    expect(refusal(join(root, 'venv'))).toMatchObject({ code: 'CUDA_LIBRARY_INVALID', message: expect.stringContaining(`${path} is cut off`) as string });
    put(`${SITE}/nvidia/cudnn/lib/libcudnn_ops.so.9`, { machine: 183 });
    expect(refusal(join(root, 'venv')).message).toBe(`${path} is a library for another processor than x86-64`);
  });

  it('says where it looked when there is no provider', () => {
    const { code, message, hint } = refusal(root);
    expect([code, message]).toEqual(['CUDA_PROVIDER_NOT_FOUND', `libonnxruntime_providers_cuda.so was not found; looked in --from ${root}`]);
    expect(hint).toContain('onnxruntime-gpu[cuda,cudnn]==1.30.0');
    mkdirSync(join(root, 'venv/lib'), { recursive: true });
    context = { ...context, env: { VIRTUAL_ENV: join(root, 'venv') } };
    expect(refusal().message).toContain(`looked in the virtual environment ${root}/venv`);
  });

  it('ends with libraries that need each other, and with chains without an end', () => {
    environment();
    put(`${SITE}/nvidia/cuda_runtime/lib/libcudart.so.13`, { needed: ['libcurand.so.10'] });
    expect(find(join(root, 'venv')).libraries.map(({ name }) => name)).toContain('libcudart.so.13');
    for (let i = 0; i < 80; i++) put(`${SITE}/nvidia/x/lib/libx${i}.so`, { needed: [`libx${i + 1}.so`] });
    put(`${SITE}/nvidia/cuda_runtime/lib/libcudart.so.13`, { needed: ['libx0.so'] });
    expect(refusal(join(root, 'venv')).message).toContain('more than 64 libraries');
  });
});
