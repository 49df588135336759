import { dirname, delimiter } from 'node:path';
import { run } from './process.mjs';

/**
 * Runs npm with a given Node: the npm that runs this script, if one does, or the one on PATH.
 *
 * No package here needs its install script: libraries for the CPU are inside the packages, and what the scripts would
 * fetch (an ffmpeg program, CUDA libraries) is not used. npm 11 asks before it runs one; older ones would just do it.
 *
 * @param {string} node
 * @param {readonly string[]} args
 * @param {string} cwd
 * @returns {Promise<number>} the exit code
 */
export function npm(node, args, cwd) {
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', '--progress=false'];
  const env = {
    ...process.env,
    PATH: [dirname(node), process.env['PATH'] ?? ''].join(delimiter),
    SKIP_FFMPEG: 'true',
    ONNXRUNTIME_NODE_INSTALL: 'skip',
  };
  /** @type {import('node:child_process').SpawnOptions} */
  const options = { cwd, env, stdio: ['ignore', 'ignore', 'inherit'] };
  const cli = process.env['npm_execpath'];
  if (cli !== undefined && /npm-cli\.js$/.test(cli)) return run(node, [cli, ...args, ...quiet], options);
  return process.platform === 'win32'
    ? run('npm.cmd', [...args, ...quiet], { ...options, shell: true })
    : run('npm', [...args, ...quiet], options);
}
