/**
 * `npx nx bench:help apps-server`: processor time and memory of `--help` of both built programs, and of their commands. The bound for the
 * programs themselves is 0.2 s; exits with 1 above it.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const BOUND_S = 0.2;
const RUNS = 5;
const cases = [
  ...(['server', 'client'] as const).map((app) => ({ app, args: ['--help'], bound: BOUND_S })),
  ...['start', 'run', 'status', 'simulate'].map((command) => ({ app: 'server' as const, args: [command, '--help'], bound: Infinity })),
];

for (const { app, args, bound } of cases) {
  const main = fileURLToPath(new URL(`../../${app}/dist/main.js`, import.meta.url));
  // The child says what it has used as it ends.
  const watch = "process.on('exit', () => { const { user, system } = process.cpuUsage(); process.stderr.write(JSON.stringify({ s: (user + system) / 1e6, mb: process.resourceUsage().maxRSS / 1e3 })); })";
  const runs = Array.from({ length: RUNS }, () => {
    const { stderr, status } = spawnSync(process.execPath, ['--import', `data:text/javascript,${encodeURIComponent(watch)}`, main, ...args], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`zk0-${app} ${args.join(' ')} ended with ${status ?? 'a signal'}: ${stderr}`);
    return JSON.parse(stderr) as { s: number; mb: number };
  }).sort((a, b) => a.s - b.s);
  const median = runs[Math.floor(RUNS / 2)]!;
  console.log(`zk0-${app} ${args.join(' ')}: ${median.s.toFixed(2)} s of processor time, ${median.mb.toFixed(0)} MB`);
  if (median.s > bound) {
    console.error(`that is more than ${bound} s`);
    process.exitCode = 1;
  }
}
