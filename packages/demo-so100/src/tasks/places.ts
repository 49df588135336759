import { DemoError } from '../errors.ts';
import type { DemoTask } from './demo-tasks.ts';
import type { Area } from './layout.ts';

/** Where the thing lies that is to be put somewhere: three spots, 8 cm apart, each of 15 × 12 mm. */
const TARGET_AREAS: Readonly<Record<string, Area>> = {
  right: { near: 0.209, far: 0.221, centre: -0.1, spread: 0.035 },
  middle: { near: 0.209, far: 0.221, centre: 0.27, spread: 0.035 },
  left: { near: 0.209, far: 0.221, centre: 0.64, spread: 0.035 },
};

/** Where it is to be put, the same at all three. */
const GOAL_AREA: Area = { near: 0.204, far: 0.216, centre: -0.72, spread: 0.03 };

/** Names of the places that a task can be restricted to; tasks in which nothing is put somewhere have none. */
export function placesOf(task: DemoTask): readonly string[] {
  return task.action.kind === 'place' ? Object.keys(TARGET_AREAS) : [];
}

/**
 * The areas of target and goal at a place.
 *
 * @throws DemoError `DEMO_TASK_UNKNOWN`
 */
export function placeNamed(task: DemoTask, name: string): readonly [Area, Area] {
  const places = placesOf(task);
  if (places.includes(name)) return [TARGET_AREAS[name]!, GOAL_AREA];
  throw new DemoError('DEMO_TASK_UNKNOWN', `the demo task ${task.name} has no place ${JSON.stringify(name)}`, {
    hint: places.length === 0 ? 'Leave place= out.' : `Choose one of: ${places.join(', ')}.`,
  });
}
