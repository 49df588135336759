import type { MainModule } from '@mujoco/mujoco';
import { DemoError } from '../errors.ts';

/** MuJoCo's WebAssembly module; see https://mujoco.readthedocs.io. */
export type Engine = MainModule;

/** The version that package.json asks for; other versions give other numbers. */
export const ENGINE_VERSION = '3.14.0';

let engine: Promise<Engine> | undefined;

/**
 * Loads the physics engine, once per thread (0.2 s).
 *
 * @throws DemoError `PHYSICS_MISSING` where the optional dependency is not installed.
 */
export function loadEngine(): Promise<Engine> {
  engine ??= importEngine();
  engine.catch(() => (engine = undefined));
  return engine;
}

async function importEngine(): Promise<Engine> {
  const { default: load } = await import('@mujoco/mujoco').catch((error: unknown) => {
    throw new DemoError('PHYSICS_MISSING', 'the demo world needs the physics engine @mujoco/mujoco, which is not installed', {
      hint: `Run: npm install @mujoco/mujoco@${ENGINE_VERSION}`,
      cause: error,
    });
  });
  return load();
}
