/**
 * How somebody who reads a hint runs a command of `program` (`zk0-server`): the way this process was started. Under `npm start` that is
 * `npm start --`, under npx `npx @zk0/server`, else the program's own name.
 */
export function programName(
  program: 'zk0-server' | 'zk0-client',
  env: NodeJS.ProcessEnv = process.env,
  script = process.argv[1] ?? '',
): string {
  const given = env['ZK0_PROGRAM'];
  if (given !== undefined && given !== '' && program === 'zk0-server') return given;
  // npx keeps what it runs in a folder of this name.
  if (/[\\/]_npx[\\/]/.test(script)) return `npx @zk0/${program.slice('zk0-'.length)}`;
  return program;
}
