import { ScriptedServer } from './scripted-server.ts';

const RUN = '2026-11-28_09-12-44_1f0c77aa';
/** What somebody malicious calls himself and says. */
export const HOSTILE = '<img src=x onerror="document.title=`owned`"><script>document.title=`owned`</script>\u202etxt.exe';

const names = (count: number): string[] => Array.from({ length: count }, (_, index) => (count < 10 ? ['anna', 'ben'][index]! : `node-${String(index + 1).padStart(3, '0')}`));

async function scene(count: number, rounds: number, more: (server: ScriptedServer, ids: readonly string[]) => Promise<void> = () => Promise.resolve(), total = 20): Promise<ScriptedServer> {
  const server = await new ScriptedServer().start();
  const ids = names(count);
  for (const id of ids) server.join(id);
  const span = rounds * 48_000 + 40_000;
  server.now = Date.now() - span - 30_000;
  await server.play(RUN, rounds, ids, { rounds: total });
  server.now = Date.now() - 18_000;
  await more(server, ids);
  return server;
}

/** A round is open: some download, some train, some are done. */
async function inProgress(server: ScriptedServer, ids: readonly string[]): Promise<void> {
  server.current = RUN;
  const round = (await server.ledger.run(RUN))!.state.rounds.length + 1;
  await server.configure(RUN, round, ids);
  for (const [index, id] of ids.entries()) {
    const kind = index % 10;
    if (kind === 7 && ids.length > 9) {
      server.join(id, { misfit: `so101-${id} has 14 and 14, this run's model takes 6 state values and 6 actions` });
      continue;
    }
    if (kind === 8 && ids.length > 9) {
      server.join(id, { state: index % 20 === 8 ? 'left' : 'offline', lastSeen: new Date(Date.now() - 400_000).toISOString() });
      continue;
    }
    if (kind < 2) server.progress(RUN, round, id, 'downloading', 40_000_000 + index * 1000, 96_000_000);
    else server.progress(RUN, round, id, 'training', 5 + (index % 40), 50, 0.5 + index / 1000);
  }
  if (ids.length < 10) {
    server.progress(RUN, round, ids[0]!, 'training', 31, 50, 0.512);
    server.progress(RUN, round, ids[1]!, 'downloading', 51_000_000, 96_000_000);
  }
  lines(server);
}

function lines(server: ScriptedServer): void {
  const line = (level: 'info' | 'warn' | 'error', message: string, process = 'server'): void => { server.page.line({ time: new Date(), level, process, message }); };
  line('info', 'listening on http://127.0.0.1:9092');
  line('info', 'client anna joined: so101-anna, 12000 examples');
  line('warn', 'client node-008 cannot take part: so101-node-008 has 14 and 14, this run\'s model takes 6 state values and 6 actions');
  line('info', 'round trained: loss 0.5312', 'client_anna');
  line('error', 'round 3: client node-004: tensor lm_head.weight holds NaN');
  line('info', HOSTILE);
}

/** Servers in the states that people see. */
export const scenes = {
  'empty': () => new ScriptedServer().start(),
  'waiting-2': async () => {
    const server = await new ScriptedServer().start();
    server.join('anna', { label: 'so101-cubes' });
    server.current = RUN;
    server.waiting = '2 clients are needed, 1 are there';
    await server.submit(RUN);
    return server;
  },
  'running-2': () => scene(2, 6, inProgress),
  'running-200': (rounds = 3) => scene(200, rounds, inProgress),
  'failed-2': () => scene(2, 3, async (server) => {
    await server.record(RUN, { type: 'run-failed', code: 'EVALUATION_INVALID', message: 'the evaluation of round 4 gave no usable numbers (policyLoss)' });
    lines(server);
  }),
  'finished-2': () => scene(2, 8, async (server) => {
    await server.record(RUN, { type: 'run-finished' });
    await server.play('2026-11-27_20-00-00_aa10c3d2', 8, ['anna', 'ben'], { rounds: 8, seed: 7, strategy: { name: 'fedavg' } });
    await server.record('2026-11-27_20-00-00_aa10c3d2', { type: 'run-finished' });
  }, 8),
  'paused-2': () => scene(2, 8, async (server) => { await server.record(RUN, { type: 'run-paused', reason: 'paused by an operator on the page' }); }),
  'private-2': async () => {
    const server = await new ScriptedServer().start();
    for (const id of names(2)) server.join(id);
    server.withPrivacy = true;
    server.now = Date.now() - 400_000;
    server.current = RUN;
    await server.play(RUN, 4, names(2), { strategy: { name: 'dp-fixed', noiseMultiplier: 1.1, clippingNorm: 0.8, budget: { epsilon: 4, delta: 1e-5 } } });
    return server;
  },
  'finished-200': () => scene(200, 8, async (server) => { await server.record(RUN, { type: 'run-finished' }); }, 8),
} satisfies Readonly<Record<string, (rounds?: number) => Promise<ScriptedServer>>>;
