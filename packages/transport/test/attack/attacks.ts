import { Random } from '@zk0/core';
import { Packr } from 'msgpackr';
import { generateNodeKey, type NodeKey } from '../../src/index.ts';
import { contentDigest } from '../../src/protocol/digest.ts';
import { requestSigner } from '../../src/signature/sign.ts';

const pack = (value: unknown): Buffer => new Packr({ useRecords: false }).pack(value);

/** A request before it is signed. */
export interface Draft {
  readonly method: string;
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** Those who have enrolled. Only `victim` and `mallory` are approved; mallory attacks. */
export interface Nodes {
  readonly serverId: string;
  readonly victim: NodeKey;
  readonly mallory: NodeKey;
  readonly pending: NodeKey;
  readonly revoked: NodeKey;
  readonly usedToken: string;
}

/** Bytes for a connection, and what they are. */
export interface Attack {
  readonly kind: string;
  readonly bytes: Buffer;
}

/** Messages and transfers of a client, none of which may be done twice or by somebody else. */
export function drafts(clientId: string, serverId: string, blob: string): Draft[] {
  const identity = { 'zk0-client': clientId, 'zk0-instance': 'i-1', 'zk0-server': serverId };
  const message = (type: string, body: unknown): Draft => ({
    method: 'POST', target: '/messages', headers: { ...identity, 'content-type': 'application/msgpack' }, body: pack({ v: 2, type, body }),
  });
  const outcome = { ok: true, update: { hash: blob, byteLength: 10 }, numExamples: 64, metrics: { loss: 0.25 } };
  const none = Buffer.alloc(0);
  return [
    message('join', { name: 'n', agent: 'a/1', profile: { frames: 100 } }),
    message('poll', {}),
    message('heartbeat', { progress: { taskId: 't', phase: 'training', step: 1, totalSteps: 2, loss: 0.5 } }),
    message('result', { taskId: 't', runId: 'r', round: 1, attempt: 1, outcome }),
    message('leave', {}),
    { method: 'GET', target: `/blobs/${blob}`, headers: { ...identity, range: 'bytes=2-' }, body: none },
    { method: 'POST', target: `/uploads/${blob}`, headers: { ...identity, 'upload-length': '10' }, body: none },
  ];
}

/** The request as it goes over the wire, with its signature. */
export function signed({ method, target, headers, body }: Draft, key: NodeKey, skewMs = 0): Draft {
  const withDigest = body.byteLength === 0 ? headers : { ...headers, 'content-digest': contentDigest(body) };
  const signature = requestSigner(key, { now: () => Date.now() + skewMs })({ method, target, headers: withDigest });
  return { method, target, headers: { ...withDigest, ...signature }, body };
}

export function raw({ method, target, headers, body }: Draft): Buffer {
  const lines = Object.entries({ host: '127.0.0.1', connection: 'close', 'content-length': String(body.byteLength), ...headers });
  return Buffer.concat([Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`, 'latin1'), body]);
}

/** One to four of: a bit flipped, bytes removed, doubled, or replaced by others. */
export function mutate(bytes: Buffer, random: Random, from = 0): Buffer {
  let result = Buffer.from(bytes);
  for (let left = 1 + random.below(4); left > 0 && result.byteLength > from + 1; left--) {
    const at = from + random.below(result.byteLength - from);
    const end = Math.min(result.byteLength, at + 1 + random.below(12));
    switch (random.below(4)) {
      case 0:
        result[at]! ^= 1 << random.below(8);
        break;
      case 1:
        result = Buffer.concat([result.subarray(0, at), result.subarray(end)]);
        break;
      case 2:
        result = Buffer.concat([result.subarray(0, end), result.subarray(at)]);
        break;
      default:
        for (let index = at; index < end; index++) result[index] = random.below(256);
    }
  }
  return result;
}

const OPERATOR_PATHS = ['/admin/status', '/%61dmin/status', '/admin%2Fstatus', '//admin/status', '/./admin/status', '/x/../admin/status', '/Admin/status', '/admin/status/', '/admin/status?', '/admin/status;x', '/admin/runs', '/admin/stop', '/admin/change', '/admin/events', '/admin/', 'http://127.0.0.1/admin/status', 'http://x/%61dmin/runs', '*', '/messages/../admin/stop', '/blobs/%2e%2e/admin/status', '/page/read/run', '/page/act/stop', '/page/events', '/page/files/%2e%2e/read/run', '/page//read/run', '/%70age/read/run'];
const HEADER_TRICKS: readonly string[] = ['x-original-url: /admin/status', 'x-rewrite-url: /admin/status', 'x-http-method-override: GET', 'x-forwarded-for: 127.0.0.1', 'forwarded: for=127.0.0.1', 'origin: http://127.0.0.1', 'authorization: Bearer', 'authorization: Bearer ', 'authorization: Basic b3BlcmF0b3I=', 'authorization: Bearer operato', 'authorization: Bearer operator\x00', 'cookie: token=operator', 'cookie: __Host-zk0-session=1.AAAAAAAAAAAAAAAAAAAAAAAA.A', 'sec-fetch-site: same-origin', 'transfer-encoding: chunked', 'content-length: 5', 'zk0-client: mallory', 'upgrade: h2c', 'expect: 100-continue', 'host: evil.example'];

/** Makes attacks on a server, without end and in a fixed order for a seed. `delivered` are requests that the server has taken once. */
export class Attacker {
  readonly #random: Random;
  readonly #nodes: Nodes;
  readonly #blob: string;
  readonly #stranger = generateNodeKey();
  delivered: readonly Draft[] = [];

  constructor(seed: number, nodes: Nodes, blob: string) {
    this.#random = new Random(seed);
    this.#nodes = nodes;
    this.#blob = blob;
  }

  next(): Attack {
    const makers = [
      () => this.#mutant(), () => this.#mutant(), () => this.#alteredMessage(), () => this.#replay(), () => this.#forgery(),
      () => this.#foreign(), () => this.#transplant(), () => this.#operator(), () => this.#enrolment(), () => this.#ownMutant(),
    ];
    return this.#pick(makers)();
  }

  /** Any byte of a request that has been taken. */
  #mutant(): Attack {
    return { kind: 'mutated request', bytes: mutate(raw(this.#pick(this.delivered)), this.#random) };
  }

  /** A request that the server has not seen, its body altered and its digest made to fit or not. */
  #alteredMessage(): Attack {
    const draft = signed(this.#draft('victim', (each) => each.body.byteLength > 0), this.#nodes.victim);
    const body = mutate(draft.body, this.#random);
    if (body.equals(draft.body)) return this.#mutant();
    const headers = this.#random.below(2) === 0 ? draft.headers : { ...draft.headers, 'content-digest': contentDigest(body) };
    return { kind: 'altered message', bytes: raw({ ...draft, headers, body }) };
  }

  #replay(): Attack {
    return { kind: 'replay', bytes: raw(this.#pick(this.delivered)) };
  }

  /** Signed by a key that the server does not take, too early, too late, for another server, or with too little in it. */
  #forgery(): Attack {
    const { victim, pending, revoked } = this.#nodes;
    const draft = this.#draft('victim');
    const sign = (bytes: Uint8Array): Uint8Array => this.#stranger.sign(bytes);
    const forged = this.#pick<() => Draft>([
      () => signed(draft, this.#stranger),
      () => signed(draft, { ...victim, sign }),
      () => signed(this.#draft('pending'), pending),
      () => signed(this.#draft('revoked'), revoked),
      () => signed(draft, victim, -400_000 - this.#random.below(10_000_000)),
      () => signed(draft, victim, 400_000 + this.#random.below(10_000_000)),
      () => signed({ ...draft, headers: { ...draft.headers, 'zk0-server': 'another' } }, victim),
      () => ({ ...draft, headers: { ...draft.headers, 'content-digest': contentDigest(draft.body) } }),
      () => {
        const { headers, ...rest } = signed(draft, victim);
        const component = this.#pick(['@method', '@path', '@query', 'zk0-client', 'zk0-instance', 'zk0-server']);
        return { ...rest, headers: { ...headers, 'signature-input': headers['signature-input']!.replace(`"${component}"`, '') } };
      },
    ])();
    return { kind: 'forgery', bytes: raw(forged) };
  }

  /** Mallory, who has enrolled, as somebody else. */
  #foreign(): Attack {
    const draft = this.#draft('victim');
    const id = this.#pick(['victim', 'pending', 'operator', 'victim ', 'mallory, victim', 'Mallory', '../victim']);
    return { kind: 'foreign id', bytes: raw(signed({ ...draft, headers: { ...draft.headers, 'zk0-client': id } }, this.#nodes.mallory)) };
  }

  /** The signature of one request on another. */
  #transplant(): Attack {
    const [from, to] = [signed(this.#draft('victim'), this.#nodes.victim), signed(this.#draft('victim'), this.#nodes.victim)];
    if (from.body.equals(to.body) && from.target === to.target) return this.#replay();
    const { signature, 'signature-input': input } = from.headers;
    return { kind: 'transplanted signature', bytes: raw({ ...to, headers: { ...to.headers, signature: signature!, 'signature-input': input! } }) };
  }

  /** An operator's route, however it is written, with everything but the token. */
  #operator(): Attack {
    const target = this.#pick(OPERATOR_PATHS);
    const method = this.#pick(['GET', 'POST', 'HEAD', 'PUT', 'OPTIONS', 'TRACE']);
    const body = Buffer.from('{"runId":"r"}');
    const draft = signed({ ...this.#draft('mallory'), method, target, headers: { ...this.#draft('mallory').headers, 'content-type': 'application/json' }, body }, this.#nodes.mallory);
    const bytes = raw(draft);
    const tricks = Array.from({ length: this.#random.below(4) }, () => `${this.#pick(HEADER_TRICKS)}\r\n`).join('');
    const at = bytes.indexOf('\r\n') + 2;
    return { kind: 'operator’s route', bytes: Buffer.concat([bytes.subarray(0, at), Buffer.from(tricks, 'latin1'), bytes.subarray(at)]) };
  }

  #enrolment(): Attack {
    const { usedToken, victim, revoked } = this.#nodes;
    const key = this.#pick([this.#stranger, victim, revoked]);
    const token = this.#pick([usedToken, mutate(Buffer.from(usedToken), this.#random).toString('latin1'), '', 'operator', "' OR 1=1 --"]);
    const body = pack({ v: 2, type: 'enroll', body: { token, publicKey: key.publicKey, dataset: 'x' } });
    const headers = { 'zk0-client': this.#pick(['victim', 'newcomer']), 'zk0-instance': 'i', 'content-type': 'application/msgpack' };
    return { kind: 'enrolment', bytes: raw(signed({ method: 'POST', target: '/enroll', headers, body }, this.#stranger)) };
  }

  /** Mallory's own message, mutated and then signed: it may do what mallory may do, and nothing in another's name. */
  #ownMutant(): Attack {
    const draft = this.#draft('mallory', (each) => each.body.byteLength > 0);
    return { kind: 'own message, mutated', bytes: raw(signed({ ...draft, body: mutate(draft.body, this.#random) }, this.#nodes.mallory)) };
  }

  #draft(clientId: string, wanted: (draft: Draft) => boolean = () => true): Draft {
    return this.#pick(drafts(clientId, this.#nodes.serverId, this.#blob).filter(wanted));
  }

  #pick<T>(items: readonly T[]): T {
    return items[this.#random.below(items.length)]!;
  }
}
