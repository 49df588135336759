import { join } from 'node:path';
import {
  announceReady,
  createProgress,
  detach,
  isDetached,
  loadConfig,
  parseBytes,
  programName,
  readTls,
  serviceExitCode,
  writeProcessFile,
  zk0Home,
  type TlsMaterial,
} from '@zk0/cli';
import { InvalidArgumentError } from '@zk0/core';
import { createLogger, type RootLogger } from '@zk0/logger';
import { parseTracker } from '@zk0/trackers';
import { certificateFingerprint, isLoopback, type ServerTls } from '@zk0/transport';
import { Command } from 'commander';
import '../demo-datasets.ts';
import { collect, configSchema, trackFlag, withConfigOptions, withTrackOption, type Config } from '../config.ts';
import { CLOSE_TRACKERS_MS, TrackerPool } from '../tracking/tracker-pool.ts';
import type { Run } from './run-action.ts';
import { roleSettings } from '../role.ts';
import { startServer, type RunningServer } from '../server-process.ts';
import { makeWritable, STATE_FOLDER } from '../state-files.ts';

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
    .option('--tls-cert <file>', 'serve TLS with this certificate (PEM)')
    .option('--tls-key <file>', 'its private key (PEM)')
    .option('--tls-ca <file>', 'let in clients with a certificate of this authority (PEM), under the name that it says')
    .option('--enrolment', 'let in enrolled nodes only; always so beyond this machine, unless certificates are asked for')
    .option('--max-disk <size>', 'most disk that parameters and updates may take')
    .option('--backend <address>', 'ledger, leases, clients and tasks on NATS: nats://HOST:PORT/FEDERATION; credentials from the environment (default: a file below --out)')
    .option('--blobs <address>', 'parameters and updates in a bucket: s3://BUCKET/PREFIX?endpoint=URL; credentials from the environment (default: a folder below --out)')
    .option('--role <name>', 'what this process does where several share --backend and --blobs: front (clients and operators), aggregate (drives runs, computes), all (default: all)')
    .option('--shards <n>', 'parts that an aggregation is cut into for the processes that share it (default: 8 with --role aggregate, else 1)', Number)
    .option('--detach', 'run in the background; see zk0-server status, logs and stop --process')
    .option('--insecure', 'allow plain HTTP and unknown clients beyond this machine: anyone on the network can read and join');
  withTrackOption(withConfigOptions(command)).option('--allow-folder <dir>', 'folder under which submitted runs may name policies and datasets by path (repeatable)', collect, []).action((options: Record<string, unknown>) => {
    run(async (signal) => {
      const { host, port, out, device, precision, threads, insecure, backend, blobs, role, shards } = options;
      const config = await loadConfig(configSchema, {
        file: options['config'] as string | undefined,
        flags: { server: { host, port, out, device, precision, threads, insecure, backend, blobs, role, shards, track: trackFlag(options) } },
        set: options['set'] as string[],
      });
      const { server } = config;
      const roles = roleSettings(server);
      const addresses = server.track.map((text) => parseTracker(text));
      makeWritable(server.out);
      if (options['detach'] === true) return startInBackground(server.out);
      const progress = createProgress(process.stderr, { quiet: isDetached() });
      const openLog = (...files: string[]): RootLogger =>
        createLogger({
          process: 'server',
          level: options['verbose'] === true ? 'debug' : 'info',
          console: isDetached() ? false : progress.console,
          plainConsole: options['verbose'] !== true,
          files: [...files, join(server.out, 'server.log')],
        });
      const log = openLog();
      const trackers = new TrackerPool(addresses, log);
      try {
        const stateDirectory = join(server.out, STATE_FOLDER);
        const tls = serverTls(readTls(options));
        const running = await startServer({
          host: server.host,
          port: server.port,
          stateDirectory,
          runDirectory: (runId) => join(server.out, runId),
          openRunLog: (runId) => openLog(join(server.out, runId, 'server', 'server.log')),
          logDirectory: server.out,
          folders: options['allowFolder'] as string[],
          cacheDirectory: zk0Home(),
          device: server.device,
          precision: server.precision,
          ...(server.threads === undefined ? {} : { threads: server.threads }),
          ...(tls === undefined ? {} : { tls }),
          ...(server.backend !== undefined && { backend: server.backend }),
          ...(server.blobs !== undefined && { blobs: server.blobs }),
          ...roles,
          shardBytes: server.shardBytes,
          ...(typeof options['maxDisk'] === 'string' && { maxDiskBytes: parseBytes('--max-disk', options['maxDisk']) }),
          enrolment: options['enrolment'] === true || (!isLoopback(server.host) && !server.insecure && tls?.clientCa === undefined),
          ...(process.env['ZK0_ADMIN_TOKEN'] === undefined ? {} : { operatorToken: process.env['ZK0_ADMIN_TOKEN'] }),
          allowInsecure: server.insecure,
          trackers,
          log,
        });
        trackers.resume(server.out);
        const forget = writeProcessFile(stateDirectory, {
          url: running.url,
          log: join(server.out, 'server.log'),
          ...(tls !== undefined && { certificate: certificateFingerprint(tls.cert) }),
        });
        const lines = [`zk0-server is at ${running.url}`, ...whatNext(running, server)];
        announceReady(lines);
        if (!isDetached()) process.stdout.write(`${lines.join('\n')}\n`);
        const stopped = new Promise<void>((resolve) => {
          signal.addEventListener('abort', () => { resolve(); }, { once: true });
        });
        try {
          await Promise.race([stopped, running.done]);
        } finally {
          await running.close();
          forget();
        }
        return serviceExitCode(signal);
      } finally {
        for (const { directory, address, lines } of await trackers.close(CLOSE_TRACKERS_MS)) {
          log.warn(`${lines} lines of ${directory} are kept for ${address.text}; the next start sends them`);
        }
        await log.close();
      }
    });
  });
  return command;
}

/** A certificate authority on the server's side is that of its clients. */
function serverTls(material: TlsMaterial | undefined): ServerTls | undefined {
  if (material === undefined) return undefined;
  const { ca, cert, key } = material;
  if (cert === undefined || key === undefined) {
    throw new InvalidArgumentError('--tls-ca needs --tls-cert and --tls-key', { hint: 'Only a server with TLS can ask clients for certificates.' });
  }
  return { cert, key, ...(ca !== undefined && { clientCa: ca }) };
}

/** How long `--detach` waits for a server to listen: a large ledger is read first. */
const READY_MS = 60_000;

async function startInBackground(out: string): Promise<undefined> {
  const state = join(out, STATE_FOLDER);
  makeWritable(state);
  const { pid, lines } = await detach(join(state, 'output.txt'), READY_MS);
  const place = out === 'outputs' ? '' : ` --out ${out}`;
  const text = [
    ...(lines ?? ['the server is still getting ready']),
    `it runs in the background (PID ${pid})`,
    `see what it does:    ${programName('zk0-server')} status${place}`,
    `its log:             ${programName('zk0-server')} logs -f${place}`,
    `stop it:             ${programName('zk0-server')} stop --process${place}`,
  ];
  process.stdout.write(`${text.join('\n')}\n`);
  return undefined;
}

/** How somebody who reads the first lines goes on. */
function whatNext({ url, enrolment, operatorTokenFile }: RunningServer, { out, host }: Config['server']): string[] {
  const [server, client] = [programName('zk0-server'), programName('zk0-client')];
  const place = out === 'outputs' ? '' : ` --out ${out}`;
  // One that listens on all addresses is reached under this machine's name, which the server cannot know.
  const isAnywhere = host === '0.0.0.0' || host === '::';
  const reached = isAnywhere ? url.replace(/\/\/[^/]*:/, '//THIS-MACHINE:') : url;
  return [
    `watch it in a browser: ${url}${operatorTokenFile === undefined ? '' : ` (log in with the token in ${operatorTokenFile})`}`,
    ...(enrolment
      ? [`let a node in with:  ${server} token create${place}`, `it then enrols:      ${client} enroll --server ${reached} --token TOKEN`]
      : []),
    `clients join with:   ${client} start --server ${reached} --dataset PATH`,
    `start a run with:    ${server} run --rounds 3 --stream${place}`,
  ];
}
