import { useDemoMaker } from '@zk0/dataset-so100';
import { demoMaker } from '@zk0/demo-so100';

// Whoever imports this can open `demo:` addresses.
useDemoMaker(demoMaker);
