export { makeDemoDataset, type DemoDatasetOptions } from './demo-dataset.ts';
export { demoTasks, type DemoAction, type DemoTask } from './demo-tasks.ts';
export { JOINT_NAMES as SO100_JOINT_NAMES } from './so100.ts';
