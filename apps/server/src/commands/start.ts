import { join } from 'node:path';
import { createProgress, loadConfig, zk0Home } from '@zk0/cli';
import { createLogger } from '@zk0/logger';
import { Command } from 'commander';
import '../demo-datasets.ts';
import { configSchema, withConfigOptions } from '../config.ts';
import type { Run } from './run-action.ts';
import { makeWritable, startServer } from '../server-process.ts';

/** `zk0-server start`: an always-on server; sessions start when a run is submitted and enough clients are there. */
export function startCommand(run: Run): Command {
  const command = new Command('start')
    .description('Start an always-on server. Runs are submitted with `zk0-server run`; a stopped server goes on where it was.')
    .option('--host <address>', 'address to listen on (default: 127.0.0.1)')
    .option('--port <n>', 'port to listen on; 0 takes any (default: 9092)', Number)
    .option('--out <dir>', 'where runs leave their outputs (default: outputs)')
    .option('--device <name>', 'execution provider for evaluation (default: auto)')
    .option('--precision <type>', 'matrix products in: auto, float32, float16, bfloat16 (default: auto)')
    .option('--threads <n>', 'CPU threads for evaluation', Number)
    .option('--insecure', 'allow plain HTTP beyond this machine: anyone on the network can read and join');
  withConfigOptions(command).action((options: Record<string, unknown>) => {
    run(async (signal) => {
      const { host, port, out, device, precision, threads, insecure } = options;
      const config = await loadConfig(configSchema, {
        file: options['config'] as string | undefined,
        flags: { server: { host, port, out, device, precision, threads, insecure } },
        set: options['set'] as string[],
      });
      const { server } = config;
      makeWritable(server.out);
      const progress = createProgress(process.stderr, { quiet: !process.stderr.isTTY });
      const level = options['verbose'] === true ? 'debug' : 'info';
      const log = createLogger({
        process: 'server',
        level,
        console: process.stderr.isTTY ? progress.console : true,
        files: [join(server.out, 'server.log')],
      });
      try {
        const token = process.env['ZK0_TOKEN'];
        const running = await startServer({
          host: server.host,
          port: server.port,
          stateDirectory: join(server.out, '.server'),
          openRun: (runId) => {
            const directory = join(server.out, runId);
            const files = [join(directory, 'server', 'server.log'), join(server.out, 'server.log')];
            return { directory, log: createLogger({ process: 'server', level, console: true, files }) };
          },
          cacheDirectory: zk0Home(),
          device: server.device,
          precision: server.precision,
          ...(server.threads === undefined ? {} : { threads: server.threads }),
          ...(token === undefined ? {} : { token }),
          allowInsecure: server.insecure,
          log,
        });
        process.stdout.write(`zk0-server is at ${running.url}\n`);
        process.stdout.write(`clients join with: zk0-client start --server ${running.url} --dataset PATH\n`);
        process.stdout.write(`start a run with:  zk0-server run --server ${running.url} --rounds 3 --stream\n`);
        const stopped = new Promise<void>((resolve) => {
          signal.addEventListener('abort', () => { resolve(); }, { once: true });
        });
        try {
          await Promise.race([stopped, running.done]);
        } finally {
          await running.close();
        }
        return undefined;
      } finally {
        await log.close();
      }
    });
  });
  return command;
}
