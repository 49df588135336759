import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fingerprintOf, type FitResult, type NodeSigner, type Parameters, type SecureKeys, type Task } from '@zk0/core';
import { advertise, dealShares, drawSecrets, sharesNeeded } from '@zk0/secure-aggregation';
import type { BlobStore } from '@zk0/storage';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { SecretStore, type MemberTrust } from '../src/index.ts';
import { advertisedKeys } from '../src/participant/known-members.ts';
import { SecureSteps } from '../src/participant/secure-steps.ts';
import { decodeKeys, encode, encodeKeys } from '../src/run/secure/record.ts';
import { numbers, Scratch } from './two-numbers.ts';

/** A server, and the peers of one client, that say whatever a test wants. */
const scratch = new Scratch();
afterAll(() => {
  scratch.remove();
});

const PEERS = ['p1', 'p2', 'p3', 'p4'];
const EVERYBODY = ['me', ...PEERS];
const MASKING = { clients: 5, clip: 1, maxWeight: 10 };
const global: Parameters = numbers(1, 2);
const trained: FitResult = { parameters: numbers(1.5, 1), numExamples: 5, metrics: { loss: 2, param_update_norm: 3, other: NaN } };
let homes = 0;

class Stage {
  readonly home = join(scratch.path, `liar-${homes++}`);
  readonly peers = new Map(PEERS.map((name) => [name, drawSecrets()]));
  blobs!: BlobStore;
  steps!: SecureSteps;

  /** The client, as it is started (again). */
  async start(trust?: MemberTrust): Promise<this> {
    this.blobs = await scratch.blobs(join(this.home, 'blobs'));
    this.steps = new SecureSteps(new SecretStore(join(this.home, 'secure'), 'me'), trust);
    return this;
  }

  task(kind: Task['kind'], instructions: Task['instructions'] = {}, round = 1): Task {
    return { taskId: `run/${round}/me/x`, runId: 'run', round, kind, attempt: 1, parameters: { hash: '0'.repeat(64), byteLength: 8 }, instructions };
  }

  get neighbours(): Record<string, ReturnType<typeof encodeKeys>> {
    return Object.fromEntries([...this.peers].map(([name, secrets]) => [name, encodeKeys(advertise(secrets))]));
  }

  keys(round = 1): ReturnType<SecureSteps['answer']> {
    return this.steps.answer(this.task('secure-keys', {}, round));
  }

  deal(instructions: Task['instructions'] = { neighbours: this.neighbours, needed: 3 }): ReturnType<SecureSteps['answer']> {
    return this.steps.answer(this.task('secure-shares', instructions));
  }

  /** What the peers have sealed for the client. */
  async inbox(): Promise<Record<string, string>> {
    const own = decodeKeys((await this.keys()) as unknown as SecureKeys);
    return Object.fromEntries(PEERS.map((name) => {
      const others = new Map(EVERYBODY.filter((other) => other !== name).map((other) => [other, other === 'me' ? own : advertise(this.peers.get(other)!)]));
      const { sealed } = dealShares({ context: 'run/1', member: name }, this.peers.get(name)!, others, sharesNeeded(5));
      return [name, encode(sealed.get('me')!)];
    }));
  }

  async mask(inbox: Record<string, string>, result = trained): ReturnType<SecureSteps['mask']> {
    const task = this.task('fit');
    const sent = await this.steps.mask(task, { masking: MASKING, inbox } as never, global, result, this.blobs);
    await this.steps.keepSent(task, sent!);
    return sent;
  }

  unmask(survivors: readonly string[], dropped: readonly string[]): ReturnType<SecureSteps['answer']> {
    return this.steps.answer(this.task('secure-unmask', { survivors: [...survivors], dropped: [...dropped] }));
  }

  /** Up to where its vector is sent. */
  async masked(): Promise<this> {
    await this.keys();
    await this.deal();
    await this.mask(await this.inbox());
    return this;
  }
}

const refused = { code: 'SECURE_REQUEST_REFUSED' };
let stage: Stage;
beforeEach(async () => {
  stage = await new Stage().start();
});

describe('a client', () => {
  it('gives the same keys and the same shares when it is asked again, also after a restart', async () => {
    const [keys, shares] = [await stage.keys(), await stage.deal()];
    await stage.start();
    expect(await stage.keys()).toEqual(keys);
    expect(await stage.deal()).toEqual(shares);
  });

  it('does not begin a round a second time, nor an earlier one', async () => {
    await stage.masked();
    await stage.unmask(EVERYBODY, []);
    await stage.steps.over(stage.task('secure-unmask'));
    await expect(stage.keys()).rejects.toMatchObject(refused);
    await stage.keys(3);
    await stage.start();
    await expect(stage.keys(2)).rejects.toMatchObject(refused);
    await expect(stage.keys(1)).rejects.toMatchObject(refused);
  });

  it('refuses other neighbours than before, and thresholds of half or less', async () => {
    await stage.keys();
    await expect(stage.deal({ neighbours: stage.neighbours, needed: 2 })).rejects.toMatchObject(refused);
    await stage.deal();
    const { p1, ...others } = stage.neighbours;
    await expect(stage.deal({ neighbours: others, needed: 3 })).rejects.toMatchObject(refused);
    await expect(stage.deal({ neighbours: { ...others, p1: { ...p1!, masking: encode(randomBytes(32)) } }, needed: 3 })).rejects.toMatchObject(refused);
    await expect(stage.deal({ neighbours: others, needed: 3, more: 1 })).rejects.toMatchObject({ code: 'TASK_UNKNOWN' });
  });

  it('sends one masked update in a round, whatever it trains after a restart', async () => {
    await stage.keys();
    await stage.deal();
    const inbox = await stage.inbox();
    const sent = await stage.mask(inbox);
    expect(sent!.numExamples).toBe(1);
    expect(sent!.metrics).toEqual({ loss: 2, num_clipped: 0 });
    await stage.start();
    expect(await stage.steps.sentBefore(stage.task('fit'), stage.blobs)).toEqual(sent);
    await rm(stage.blobs.path(sent!.update.hash));
    await expect(stage.steps.sentBefore(stage.task('fit'), stage.blobs)).rejects.toMatchObject(refused);
  });

  it('does not mask with too few, with strangers, or with shares that were changed', async () => {
    await stage.keys();
    await stage.deal();
    const inbox = await stage.inbox();
    const { p1, p2, ...two } = inbox;
    await expect(stage.mask({ p1: p1! })).rejects.toMatchObject({ code: 'SECURE_TOO_FEW' });
    await expect(stage.mask({ ...two, stranger: p1! })).rejects.toMatchObject(refused);
    await expect(stage.mask({ ...inbox, p1: p2! })).rejects.toMatchObject({ code: 'SECURE_SHARE_INVALID' });
    await expect(stage.mask(inbox, { ...trained, parameters: numbers(NaN, 1) })).rejects.toMatchObject({ code: 'SECURE_NON_FINITE' });
  });

  it('answers one question about who is in the sum, and no other, also after a restart', async () => {
    await stage.masked();
    const answer = await stage.unmask(['me', 'p1', 'p2', 'p3'], ['p4']);
    expect([Object.keys(answer['seeds'] as object).sort(), Object.keys(answer['keys'] as object)]).toEqual([['me', 'p1', 'p2', 'p3'], ['p4']]);
    await stage.start();
    expect(await stage.unmask(['p3', 'p1', 'p2', 'me'], ['p4'])).toEqual(answer);
    await expect(stage.unmask(['me', 'p1', 'p2'], ['p3', 'p4'])).rejects.toMatchObject(refused);
    await expect(stage.unmask(EVERYBODY, [])).rejects.toMatchObject(refused);
  });

  it.each<[string, readonly string[], readonly string[]]>([
    ['both secrets of one peer', ['me', 'p1', 'p2', 'p3'], ['p3', 'p4']],
    ['a sum without its own update', ['p1', 'p2', 'p3', 'p4'], ['me']],
    ['a sum of too few', ['me', 'p1'], ['p2', 'p3', 'p4']],
    ['a sum that leaves a peer out', ['me', 'p1', 'p2'], ['p3']],
    ['a stranger', ['me', 'p1', 'p2', 'p3', 'p4', 'p5'], []],
  ])('refuses %s, and is still there for an honest question', async (_, survivors, dropped) => {
    await stage.masked();
    await expect(stage.unmask(survivors, dropped)).rejects.toMatchObject(refused);
    expect(await stage.unmask(EVERYBODY, [])).toBeDefined();
  });

  it('gives nothing before its update was sent, of a round that it has no part in, or when the round is over', async () => {
    await expect(stage.unmask(EVERYBODY, [])).rejects.toMatchObject(refused);
    await stage.keys();
    await expect(stage.mask({})).rejects.toMatchObject(refused);
    await stage.deal();
    await expect(stage.unmask(EVERYBODY, [])).rejects.toMatchObject(refused);
    await stage.mask(await stage.inbox());
    await stage.unmask(EVERYBODY, []);
    await stage.steps.over(stage.task('secure-unmask'));
    await expect(stage.unmask(EVERYBODY, [])).rejects.toMatchObject(refused);
  });
});

describe('a client that knows the members', () => {
  const signers = new Map(EVERYBODY.map((name) => [name, signer()]));
  const members = new Map([...signers].map(([name, { publicKey }]) => [name, fingerprintOf(publicKey)]));

  /** The peers' keys, each signed for a sum by the signer that the test chooses. */
  function signedBy(signerOf: (name: string) => NodeSigner, context = 'run/1'): Record<string, SecureKeys> {
    return Object.fromEntries([...stage.peers].map(([name, secrets]) => [name, advertisedKeys({ context, member: name }, advertise(secrets), { signer: signerOf(name) })]));
  }
  const deal = (neighbours: Record<string, SecureKeys>): ReturnType<SecureSteps['answer']> => stage.deal({ neighbours, needed: 3 });

  beforeEach(async () => {
    await stage.start({ signer: signers.get('me')!, members });
    await stage.keys();
  });

  it('shares masks with them, and signs its own keys for them', async () => {
    const own = (await stage.keys()) as unknown as SecureKeys;
    expect(fingerprintOf(own.signed!.publicKey)).toBe(members.get('me'));
    expect(Object.keys((await deal(signedBy((name) => signers.get(name)!)))['shares'] as object)).toEqual(PEERS);
  });

  it.each<[string, () => Record<string, SecureKeys>, RegExp]>([
    ['keys that nobody has signed', () => stage.neighbours, /^p1: its keys are not signed/],
    ['keys that another key has signed', () => signedBy((name) => (name === 'p3' ? signer() : signers.get(name)!)), /^p3: its keys are signed by .*, not by/],
    ['keys of the server’s under a signature of a member', () => {
      const all = signedBy((name) => signers.get(name)!);
      return { ...all, p2: { ...all['p2']!, masking: encode(randomBytes(32)) } };
    }, /^p2: the signature of its keys does not hold/],
    ['keys of one member as those of another', () => {
      const all = signedBy((name) => signers.get(name)!);
      return { ...all, p2: all['p1']! };
    }, /^p2: its keys are signed by/],
    ['keys that were signed for another round', () => signedBy((name) => signers.get(name)!, 'run/2'), /^p1: the signature of its keys does not hold/],
    ['a client that the server made up', () => ({ ...signedBy((name) => signers.get(name)!), p5: stage.neighbours['p4']! }), /^p5 is none of the members that this client knows/],
  ])('refuses %s', async (_, neighbours, message) => {
    await expect(deal(neighbours())).rejects.toMatchObject({ code: 'SECURE_KEY_UNTRUSTED', message: expect.stringMatching(message) as string });
    // Nothing was dealt: an honest question is still answered.
    expect(await deal(signedBy((name) => signers.get(name)!))).toBeDefined();
  });
});

function signer(): NodeSigner {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return { publicKey: publicKey.export({ format: 'jwk' }).x!, sign: (bytes) => sign(null, bytes, privateKey) };
}
