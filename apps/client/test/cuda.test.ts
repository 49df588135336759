import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

let root: string;

/** A real library that needs `library`: onnxruntime-node's binding, with the name of what it needs replaced, and a text behind it. */
function libraryThatNeeds(library: string, text = ''): Buffer {
  const fromPolicy = createRequire(createRequire(import.meta.url).resolve('@zk0/policy-smolvla/package.json'));
  const pack = path.dirname(createRequire(fromPolicy.resolve('@zk0/onnx-train/package.json')).resolve('onnxruntime-node/package.json'));
  const bytes = readFileSync(path.join(pack, 'bin/napi-v6/linux/x64/onnxruntime_binding.node'));
  const name = 'libonnxruntime.so.1';
  bytes.write(library.padEnd(name.length, '\0'), bytes.indexOf(`\0${name}\0`) + 1, 'latin1');
  return Buffer.concat([bytes, Buffer.from(`\0${text}\0`)]);
}

/** Runs the program as a user does. */
function zk0(...args: string[]): Promise<Outcome> {
  const main = path.join(import.meta.dirname, '../dist/main.js');
  const env = { ...process.env, ZK0_HOME: path.join(root, 'home'), HOME: root, VIRTUAL_ENV: '', CONDA_PREFIX: '', LD_LIBRARY_PATH: '', NODE_OPTIONS: '' };
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...args], { env, cwd: root }, (error, out, err) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err });
    });
  });
}

describe.skipIf(process.platform !== 'linux' || process.arch !== 'x64')('zk0-client cuda', { timeout: 300_000 }, () => {
  beforeAll(() => {
    root = mkdtempSync(path.join(tmpdir(), 'zk0-client-cuda-'));
    const folder = path.join(root, 'venv/lib/python3.12/site-packages/onnxruntime/capi');
    const libraries = path.join(root, 'venv/lib/python3.12/site-packages/nvidia/cu13/lib');
    for (const made of [folder, libraries]) mkdirSync(made, { recursive: true });
    const late = ['', '_graph', '_ops', '_cnn', '_heuristic', '_engines_precompiled', '_engines_runtime_compiled'].map((part) => `libcudnn${part}.so.9`);
    for (const name of ['libnvrtc.so.13', ...late]) writeFileSync(path.join(libraries, name), libraryThatNeeds('libm.so.6'));
    writeFileSync(path.join(folder, 'libonnxruntime_providers_cuda.so'), libraryThatNeeds('libcublas.so.13', '1.30.0'));
    writeFileSync(path.join(folder, 'libonnxruntime_providers_shared.so'), libraryThatNeeds('libm.so.6'));
  });
  afterAll(() => {
    rmSync(root, { recursive: true });
  });

  it('says what is missing, links once it is there, shows it in doctor, notices changes, and undoes it', async () => {
    const missing = await zk0('cuda', 'use', '--from', 'venv');
    expect(missing.code).toBe(1);
    expect(missing.err).toMatch(/^error: libcublas\.so\.13, which .* needs, was not found; looked in --from venv/);
    expect(missing.err).toContain('Run `pip install "nvidia-cublas==13.*"`');
    expect((await zk0('cuda', 'forget')).out).toBe('CUDA was not linked\n');

    const brought = path.join(root, 'venv/lib/python3.12/site-packages/nvidia/cublas/lib/libcublas.so.13');
    mkdirSync(path.dirname(brought), { recursive: true });
    writeFileSync(brought, libraryThatNeeds('libm.so.6'));
    const used = await zk0('cuda', 'use', '--from', 'venv');
    expect([used.code, used.err]).toEqual([0, '']);
    expect(used.out).toContain('linked onnxruntime 1.30.0 for CUDA 13, of an unknown commit');
    expect(used.out).toContain(brought);
    const doctor = async (): Promise<unknown> => (JSON.parse((await zk0('doctor', '--json')).out) as { name: string }[]).find(({ name }) => name === 'CUDA');
    expect(await doctor()).toMatchObject({ state: 'ok', found: expect.stringContaining('linked for CUDA 13') as string });

    rmSync(brought);
    expect(await doctor()).toMatchObject({ state: 'attention', found: `${brought}, which CUDA was linked with, has gone`, hint: expect.stringContaining('cuda use') as string });
    expect((await zk0('cuda', 'forget')).out).toBe('CUDA is no longer linked\n');
  });

  it('explains itself, and keeps the search to the folder that is named', async () => {
    const { code, err } = await zk0('cuda', 'use', '--from', 'nowhere', '--verbose');
    expect(code).toBe(1);
    expect(err).toContain('CUDA_PROVIDER_NOT_FOUND');
    expect(err).toContain('looked in --from nowhere, which is not a folder');
    expect(err).toContain('pip install "onnxruntime-gpu[cuda,cudnn]==1.30.0"');
    expect((await zk0('cuda', '--help')).out).toMatch(/use .*forget/s);
  });
});
