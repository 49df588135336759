import { Zk0Error, type Zk0ErrorOptions } from '@zk0/core';

/**
 * What can go wrong in the demo world.
 *
 * - `PHYSICS_MISSING`: the package `@mujoco/mujoco` is not installed.
 * - `PHYSICS_FAILED`: the physics engine refused the scene, or its state is no longer finite.
 * - `DEMO_TASK_UNKNOWN`: no demo task or place has this name.
 */
export type DemoErrorCode = 'PHYSICS_MISSING' | 'PHYSICS_FAILED' | 'DEMO_TASK_UNKNOWN';

/** Every failure of this package that a user can act on. */
export class DemoError extends Zk0Error {
  declare readonly code: DemoErrorCode;

  constructor(code: DemoErrorCode, message: string, options: Zk0ErrorOptions = {}) {
    super(code, message, options);
  }
}
