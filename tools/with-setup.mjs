/**
 * `npm start`, `npm test` and `npm run test:quick` on a machine that has git and any Node from 18 on with npm: installs what package-lock.json
 * says, finds a Node that is new enough (the machine's own, or the one that npm brought), and runs the command.
 *
 * Plain JavaScript without dependencies, because it runs before there are any.
 */
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runChecks } from './setup/checks.mjs';
import { installDependencies } from './setup/install.mjs';
import { installedNode, toolEnvironment } from './setup/node.mjs';
import { forwardSignals, run } from './setup/process.mjs';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const [command, ...args] = process.argv.slice(2);

async function main() {
  forwardSignals();
  if (!['start', 'test', 'test:quick'].includes(command ?? '')) throw new Error('usage: node tools/with-setup.mjs start|test|test:quick [arguments]');
  await installDependencies(root, { tools: command !== 'start' });
  const node = installedNode(root);
  const env = toolEnvironment(root, node);
  if (command !== 'start') return runChecks({ root, node, env, args, quick: command === 'test:quick' });
  const flags = ['--disable-warning=ExperimentalWarning', '--conditions=@zk0/source'];
  // `npm start` runs the demo; `npm start -- simulate …` is any other command of the server.
  const named = /^[^-]/.test(args[0] ?? '') ? args : ['demo', ...args];
  return run(node, [...flags, resolve(root, 'apps/server/src/main.ts'), ...named], {
    // Paths on the command line are relative to where the user is, not to the repository.
    cwd: process.env['INIT_CWD'] ?? process.cwd(),
    env: {
      ...env,
      // Hints name commands the way that works here.
      ZK0_PROGRAM: 'npm start --',
      // The demo starts a dozen programs, which need not strip the types and compile the code anew each.
      NODE_COMPILE_CACHE: env['NODE_COMPILE_CACHE'] ?? resolve(root, 'node_modules/.cache/node'),
    },
  });
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
