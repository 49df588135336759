import { withElapsed } from './elapsed.mjs';
import { firstDifference } from './lock.mjs';
import { withNode } from './node.mjs';
import { npm } from './npm.mjs';

/**
 * Runs `npm ci` unless what is installed is what package-lock.json says.
 *
 * @param {string} root
 * @param {{ readonly tools: boolean }} what whether the tools of development are needed: without them it takes a third of the time
 */
export async function installDependencies(root, what) {
  const reason = firstDifference(root, what);
  if (reason === undefined) return;
  await withNode(root, async (node) => {
    const code = await withElapsed(`installing packages (${reason})`, npm(node, what.tools ? ['ci'] : ['ci', '--omit=dev'], root));
    if (code !== 0) {
      throw new Error(`npm ci failed (exit code ${code}); check the network and the messages above, then try again`);
    }
  });
  const left = firstDifference(root, what);
  if (left !== undefined) throw new Error(`npm ci did not install everything: ${left}`);
}
