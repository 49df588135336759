import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Random } from '@zk0/core';
import { adminClient } from '@zk0/transport';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { freePort, lacksBackends, startBackends, type Backends } from '../backends.ts';
import { killStartedPrograms, runProgram, startProgram, temporaryDirectory } from '../cli.ts';
import { startLightClient } from './light-clients.ts';
import { NatsCluster } from './nats-cluster.ts';
import { StickyForwarder } from './sticky-forwarder.ts';
import { SupervisedServer } from './supervised-server.ts';

/** How much is tried: `npx nx run-many -t test-long` has time for all of it. */
const { fronts, aggregates, clients, rounds, kills } =
  process.env['ZK0_TESTS'] === 'long' ? { fronts: 3, aggregates: 3, clients: 12, rounds: 6, kills: 30 } : { fronts: 2, aggregates: 2, clients: 4, rounds: 3, kills: 3 };

const home = temporaryDirectory();
afterAll(home.remove);

const ids = Array.from({ length: clients }, (_, index) => `c${index.toString(36)}`);
const settings = ['--rounds', String(rounds), '--min-clients', String(clients), '--policy', 'tiny', '--strategy', 'fedadam', '--seed', '7', '--set', 'keepBest=false', '--checkpoint-every', '100'];

describe.skipIf(lacksBackends !== undefined)(`front-ends and aggregators${lacksBackends === undefined ? '' : ` (${lacksBackends})`}`, () => {
  const environment = { ...process.env };
  const random = new Random(process.env['ZK0_TEST_SEED'] ?? 'many servers');
  let [backends, nats]: [Backends | undefined, NatsCluster | undefined] = [undefined, undefined];
  const closers: (() => Promise<unknown>)[] = [];
  beforeAll(async () => {
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' });
    [backends, nats] = await Promise.all([startBackends(), NatsCluster.start()]);
  });
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
    killStartedPrograms();
  });
  afterAll(async () => {
    process.env = environment;
    await Promise.all([backends?.close(), nats?.close()]);
  });

  const submit = async (url: string): Promise<string> => {
    const { stdout, stderr } = await runProgram('server', ['run', '--server', url, ...settings], home.path);
    const submitted = /run (\S+) is submitted/.exec(stdout);
    expect(submitted, stderr).not.toBeNull();
    return submitted![1]!;
  };
  /** The hash of a run's parameters at its end. */
  const ended = async (url: string, runId: string): Promise<string> => {
    const operator = adminClient({ url });
    try {
      for (;;) {
        // The server that is asked may be the one that was killed.
        const status = await operator.status().catch(() => null);
        const run = (status as { runs: { runId: string; phase: string; parameters: string }[] } | null)?.runs.find((one) => one.runId === runId);
        if (run !== undefined) expect(['waiting_for_clients', 'running', 'finished']).toContain(run.phase);
        if (run?.phase === 'finished') return run.parameters;
        await wait(250);
      }
    } finally {
      await operator.close();
    }
  };
  const joinAll = async (urls: readonly string[], folder: string, before?: (round: number) => Promise<void>): Promise<() => Promise<void>> => {
    const stop = new AbortController();
    const running: Promise<unknown>[] = [];
    for (const [index, id] of ids.entries()) {
      const { ended: left } = await startLightClient(urls[index % urls.length]!, id, join(home.path, folder), stop.signal, before);
      running.push(left.catch(() => undefined));
    }
    return async () => {
      stop.abort();
      await Promise.all(running);
    };
  };
  /** What the embedded server makes of the same clients. */
  const alone = async (): Promise<string> => {
    const server = startProgram('server', ['start', '--port', '0', '--out', join(home.path, 'embedded'), '--device', 'cpu'], home.path);
    const url = (await server.until(/zk0-server is at (http\S+)/))[1]!;
    const leave = await joinAll([url], 'embedded-clients');
    const parameters = await ended(url, await submit(url));
    await leave();
    server.child.kill('SIGTERM');
    await server.exited;
    return parameters;
  };
  /** When a server last wrote to the log of a run: whoever drives it does. */
  const droveAt = ({ out }: SupervisedServer, runId: string): number => {
    const folder = join(out, runId, 'server');
    return existsSync(folder) ? Math.max(...readdirSync(folder).map((file) => statSync(join(folder, file)).mtimeMs)) : 0;
  };

  it(`end with the bytes of one embedded server, though ${kills} times one of them, the leader or a NATS server is killed`, { timeout: 1_800_000 }, async () => {
    const expected = await alone();
    const ports = await Promise.all(Array.from({ length: fronts + aggregates }, freePort));
    const place = ['--backend', nats!.address('many'), '--blobs', backends!.blobs, '--set', 'server.shardBytes=0'];
    const servers = ports.map((port, index) => {
      const role = index < fronts ? ['--role', 'front'] : ['--role', 'aggregate', '--shards', '4'];
      return new SupervisedServer(port, join(home.path, `server-${index}`), [...role, ...place], home.path);
    });
    closers.push(() => Promise.all(servers.map((server) => server.close())));
    await Promise.all(servers.map((server) => server.ready()));
    const forwarders = await Promise.all(Array.from({ length: clients + 1 }, (_, index) => StickyForwarder.start(ports.slice(0, fronts), index)));
    closers.push(() => Promise.all(forwarders.map((forwarder) => forwarder.close())));

    let killed = 0;
    const names: string[] = [];
    // Training waits for its share of kills, so that they fall into every round.
    const leave = await joinAll(forwarders.map(({ url }) => url), 'clients', async (round) => {
      while (killed < Math.floor(((round - 1) * kills) / rounds)) await wait(50);
    });
    closers.push(leave);
    const url = forwarders.at(-1)!.url;
    const runId = await submit(url);
    const killing = (async () => {
      while (killed < kills) {
        await wait(1000 * random.uniform());
        const leader = servers.slice(fronts).sort((a, b) => droveAt(b, runId) - droveAt(a, runId))[0]!;
        const victim = killed % 3 === 0 ? leader : killed % 3 === 1 ? null : servers[random.below(servers.length)]!;
        if (victim === null) await nats!.bounce(random.below(3));
        else {
          victim.kill();
          await victim.ready();
        }
        names.push(victim === null ? 'nats' : `${victim === leader ? 'leader ' : ''}${servers.indexOf(victim)}`);
        killed++;
      }
    })();
    const found = await ended(url, runId);
    await killing;
    expect(found, names.join(', ')).toBe(expected);
    expect(killed).toBe(kills);
  });
});
