import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const script = `
  const { createSession, encodeModel, GraphBuilder, ops } = await import(${JSON.stringify(fileURLToPath(new URL('../index.ts', import.meta.url)))});
  const graph = new GraphBuilder('probe');
  const x = graph.input('x', 'float32', [1]);
  graph.output('y', ops.add(x, x));
  const session = await createSession(encodeModel(graph), { device: 'cpu' });
  await session.close();
`;

it('leaves no trace of onnxruntime’s usage events in the home directory', { timeout: 240_000 }, () => {
  const home = mkdtempSync(join(tmpdir(), 'zk0-home-'));
  try {
    const environment = { ...process.env };
    delete environment['ORT_DISABLE_TELEMETRY'];
    delete environment['XDG_CACHE_HOME'];
    execFileSync(process.execPath, ['--conditions=@zk0/source', '--input-type=module', '--eval', script], {
      env: { ...environment, HOME: home, USERPROFILE: home },
      stdio: 'pipe',
    });
    expect(readdirSync(home)).toEqual([]);
  } finally {
    rmSync(home, { recursive: true });
  }
});
