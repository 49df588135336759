import { withElapsed } from './elapsed.mjs';
import { firstDifference } from './lock.mjs';
import { withNode } from './node.mjs';
import { npm } from './npm.mjs';

/**
 * Runs `npm ci` unless what is installed is what package-lock.json says.
 *
 * @param {string} root
 */
export async function installDependencies(root) {
  const reason = firstDifference(root);
  if (reason === undefined) return;
  await withNode(root, async (node) => {
    const code = await withElapsed(`installing packages (${reason})`, npm(node, ['ci'], root));
    if (code !== 0) {
      throw new Error(`npm ci failed (exit code ${code}); check the network and the messages above, then try again`);
    }
  });
  const left = firstDifference(root);
  if (left !== undefined) throw new Error(`npm ci did not install everything: ${left}`);
}
