export { makeDemoDataset, type DemoDatasetOptions } from './demo-dataset.ts';
export { demoTasks, type DemoAction, type DemoTask } from './demo-tasks.ts';
