import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateNodeKey, openNodeRegistry } from '../../src/index.ts';
import { Attacker, drafts, raw, signed, type Attack, type Nodes } from './attacks.ts';

/** What came of an attack. */
export interface AttackReport {
  readonly sent: number;
  /** How often each kind was tried, and how often each status was the answer (`0`: the connection was closed without one). */
  readonly kinds: Readonly<Record<string, number>>;
  readonly statuses: Readonly<Record<string, number>>;
  /** Attacks that were answered with success, those of a client in its own name aside. */
  readonly accepted: readonly Attack[];
  /** What the service was asked to do in the names of those that did not ask for it. */
  readonly foreignCalls: number;
  /** Requests of the honest client, and how many of them were answered as they should be. */
  readonly honest: number;
  readonly honestAnswered: number;
  /** Peers that sent a byte now and then, and how many of them were still connected at the end. */
  readonly slowOpened: number;
  readonly slowOpen: number;
  /** Errors that the server did not foresee. */
  readonly defects: readonly string[];
  /** The server's memory after a tenth of the attacks and at the end, in MB. */
  readonly rssBeforeMb: number;
  readonly rssAfterMb: number;
  readonly seconds: number;
}

interface Inside {
  readonly calls: Readonly<Record<string, number>>;
  readonly defects: readonly string[];
  readonly rss: number;
}

const CONNECTIONS = 96;
/** Connections on which a byte comes every half second. */
const SLOW_CONNECTIONS = 64;
const SLOW_BYTE_MS = 500;
/** New requests are delivered, to be replayed, so often: captured ones grow old. */
const REFRESH_EVERY = 5000;
const ANSWER_WITHIN_MS = 150;
const GIVE_UP_MS = 8000;

/** Attacks a server of this package in a process of its own. */
export async function attack(count: number, seed: number, onProgress: (sent: number) => void = () => undefined): Promise<AttackReport> {
  const directory = await mkdtemp(join(tmpdir(), 'zk0-attack-'));
  const nodes = await makeNodes(join(directory, 'nodes.sqlite'));
  const child = fork(new URL('victim.ts', import.meta.url), [join(directory, 'nodes.sqlite'), join(directory, 'blobs')], { execArgv: ['--conditions=@zk0/source'] });
  const next = <T>(): Promise<T> =>
    new Promise((resolve, reject) => {
      child.once('message', (message) => { resolve(message as T); });
      child.once('exit', (code) => { reject(new Error(`the server ended with ${code}`)); });
    });
  const inside = (): Promise<Inside> => {
    const answer = next<Inside>();
    child.send('report');
    return answer;
  };
  try {
    const port = Number(new URL(await next<string>()).port);
    const blob = createHash('sha256').update('parameters').digest('hex');
    const attacker = new Attacker(seed, nodes, blob);
    const honest = { sent: 0, answered: 0 };
    const beHonest = async (): Promise<void> => {
      const requests = drafts('victim', nodes.serverId, blob).map((draft) => signed(draft, nodes.victim));
      for (const request of requests) {
        honest.sent++;
        if (/^2/.test(await send(port, raw(request), GIVE_UP_MS))) honest.answered++;
      }
      attacker.delivered = requests;
    };
    await beHonest();
    const kinds: Record<string, number> = {};
    const statuses: Record<string, number> = {};
    const accepted: Attack[] = [];
    let sent = 0;
    let before = 0;
    const slow = slowPeers(port, [
      raw(signed({ ...drafts('mallory', nodes.serverId, blob)[0]!, body: Buffer.alloc(100_000) }, nodes.mallory)),
      Buffer.from(`GET / HTTP/1.1\r\nx: ${'y'.repeat(10_000)}`),
    ]);
    const begun = performance.now();
    const work = async (until: number): Promise<void> => {
      while (sent < until) {
        sent++;
        const tried = attacker.next();
        const status = await send(port, tried.bytes);
        kinds[tried.kind] = (kinds[tried.kind] ?? 0) + 1;
        statuses[status] = (statuses[status] ?? 0) + 1;
        if (/^[23]/.test(status) && tried.kind !== 'own message, mutated') accepted.push(tried);
      }
    };
    while (sent < count) {
      const until = Math.min(count, sent + REFRESH_EVERY);
      await Promise.all(Array.from({ length: CONNECTIONS }, () => work(until)));
      await beHonest();
      if (before === 0 && sent >= count / 10) before = (await inside()).rss;
      onProgress(sent);
    }
    const slowOpen = slow.open();
    slow.stop();
    const { calls, defects, rss } = await inside();
    const foreign = Object.entries(calls).filter(([who]) => who !== 'mallory' && who !== 'victim').reduce((sum, [, times]) => sum + times, 0);
    return {
      sent, kinds, statuses, accepted, defects, slowOpened: SLOW_CONNECTIONS, slowOpen,
      // Every call in the victim's name was made by the honest client.
      foreignCalls: foreign + Math.abs((calls['victim'] ?? 0) - honest.sent),
      honest: honest.sent,
      honestAnswered: honest.answered,
      rssBeforeMb: Math.round(before / 1e6),
      rssAfterMb: Math.round(rss / 1e6),
      seconds: Math.round((performance.now() - begun) / 1000),
    };
  } finally {
    const ended = new Promise((resolve) => {
      if (child.exitCode === null) child.once('exit', resolve);
      else resolve(undefined);
    });
    if (child.connected) child.disconnect();
    await ended;
    await rm(directory, { recursive: true, force: true });
  }
}

async function makeNodes(path: string): Promise<Nodes> {
  const registry = openNodeRegistry(path);
  const [victim, mallory, pending, revoked] = [generateNodeKey(), generateNodeKey(), generateNodeKey(), generateNodeKey()];
  const { token: usedToken } = await registry.createToken({ uses: 3 });
  for (const [clientId, { publicKey }] of [['victim', victim], ['mallory', mallory], ['revoked', revoked]] as const) {
    await registry.enroll({ token: usedToken, clientId, publicKey, dataset: '' });
  }
  await registry.revokeNode('revoked');
  const { token } = await registry.createToken({ needsApproval: true });
  await registry.enroll({ token, clientId: 'pending', publicKey: pending.publicKey, dataset: '' });
  await registry.close();
  return { serverId: registry.serverId, victim, mallory, pending, revoked, usedToken };
}

/** Peers that never finish what they send. `requests` are taken in turn; a head of 200 bytes goes at once, the rest byte by byte. */
function slowPeers(port: number, requests: readonly Buffer[]): { open: () => number; stop: () => void } {
  const sockets = Array.from({ length: SLOW_CONNECTIONS }, (_, index) => {
    const bytes = requests[index % requests.length]!;
    let at = bytes.indexOf('\r\n\r\n') + 4;
    if (at < 200) at = 200;
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    socket.resume().write(bytes.subarray(0, at));
    const timer = setInterval(() => { if (socket.writable) socket.write(bytes.subarray(at, ++at)); }, SLOW_BYTE_MS);
    socket.once('close', () => { clearInterval(timer); });
    return socket;
  });
  return {
    open: () => sockets.filter((socket) => !socket.destroyed).length,
    stop: () => { for (const socket of sockets) socket.destroy(); },
  };
}

/** Sends bytes on a connection of their own. @returns the status of the answer, `0` without one. */
function send(port: number, bytes: Buffer, answerWithinMs = ANSWER_WITHIN_MS): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1');
    // Whoever waits for more bytes than there are is told that no more will come.
    const end = setTimeout(() => socket.end(), answerWithinMs);
    const giveUp = setTimeout(() => socket.destroy(), GIVE_UP_MS);
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      answer = (answer.length > 100 ? answer : answer + chunk).replace(/^HTTP\/1\.1 1\d\d[^]*?\r\n\r\n/, '');
      if (/^HTTP\/1\.1 [2-5]\d\d/.test(answer)) socket.end();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(end);
      clearTimeout(giveUp);
      resolve(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? '0');
    });
    socket.write(bytes);
  });
}
