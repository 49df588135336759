/**
 * @module
 * A simulated SO-101 arm at a table, in real contact physics: a world to try policies in, a scripted expert, and demo
 * recordings made with both.
 */
export { JOINT_NAMES as SO100_JOINT_NAMES } from './arm/so100.ts';
export { DemoError, type DemoErrorCode } from './errors.ts';
export { demoTasks, findTask, type DemoAction, type DemoTask } from './tasks/demo-tasks.ts';
export { placesOf } from './tasks/places.ts';
export { DemoWorld, type DemoWorldOptions } from './world/demo-world.ts';
export { ENVHUB_SCHEME, parseEnvhubAddress } from './tabletop/envhub-address.ts';
export { TabletopExpert } from './tabletop/tabletop-expert.ts';
export { TABLETOP_NAME, TABLETOP_REPOSITORY } from './tabletop/tabletop-task.ts';
export { TabletopWorld, type TabletopWorldOptions } from './tabletop/tabletop-world.ts';
export { Expert } from './world/expert.ts';
export { TOP_CAMERA, WRIST_CAMERA } from './render/view.ts';
export { DemoView } from './render/view.ts';
export type { Surroundings, Thing } from './render/scene.ts';
export { makeDemoDataset, type DemoDatasetOptions } from './recording/demo-dataset.ts';
export { demoMaker, worldSettings } from './recording/demo-maker.ts';
