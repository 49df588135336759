import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { expect, it } from 'vitest';

it('names what is missing and the line that installs it', () => {
  const hooks = `
    import { registerHooks } from 'node:module';
    registerHooks({
      resolve(specifier, context, next) {
        if (specifier !== '@mujoco/mujoco') return next(specifier, context);
        throw Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' });
      },
    });
    const { DemoWorld } = await import(${JSON.stringify(path.join(import.meta.dirname, '../index.ts'))});
    await DemoWorld.create({ task: 'lift-can' }).catch(({ code, hint }) => process.stdout.write(JSON.stringify({ code, hint })));
  `;
  const { stdout } = spawnSync(process.execPath, ['--conditions=@zk0/source', '--input-type=module', '-e', hooks], { encoding: 'utf8' });
  expect(JSON.parse(stdout)).toEqual({ code: 'PHYSICS_MISSING', hint: 'Run: npm install @mujoco/mujoco@3.14.0' });
});
