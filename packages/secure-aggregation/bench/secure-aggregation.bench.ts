/**
 * `npx nx bench secure-aggregation`: what one client of a sum pays beside its training, and what the server pays to take the masks off, on
 * one thread; times are of the processor. `-- VALUES CLIENTS` (in millions of values; 100 and 100 unless given). The client's own values lie
 * in memory: it needs 12 bytes for each.
 *
 * The server's part is measured on some of the vectors and scaled to all of them, as the line says.
 */
import { availableParallelism, cpus } from 'node:os';
import { Random } from '@zk0/core';
import {
  advertise,
  dealShares,
  degreeFor,
  drawSecrets,
  MASK_BLOCK,
  Masks,
  masksOf,
  neighbourGraph,
  openShare,
  quantizeInto,
  quantizeWeight,
  recoverMasks,
  SEAL_BYTES,
  sharesNeeded,
  type PublicKeys,
  type SharePair,
} from '../src/index.ts';

const VALUES = Math.round(1e6 * Number(process.argv[2] ?? 100));
const CLIENTS = Number(process.argv[3] ?? 100);
/** Survivors whose masks the server's part is measured with. */
const MEASURED = Math.min(CLIENTS, 10);
const log = (line: string): void => void process.stdout.write(`${line}\n`);

/** Seconds of processor time, which others on the machine hardly change. */
function seconds(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

const context = 'run/1';
const members = Array.from({ length: CLIENTS }, (_, index) => `client-${index}`);
const quantization = { clients: CLIENTS, clip: 0.01, maxWeight: 1000 };
const changes = new Random(1).fillNormal(new Float32Array(1 << 20)).map((value) => 5e-4 * value);
const vector = new Int32Array(VALUES + 1);

log(`${cpus()[0]?.model ?? 'unknown CPU'}, ${availableParallelism()} cores, Node ${process.version}; ${VALUES / 1e6} M values, ${CLIENTS} clients\n`);
log('| neighbours | keys and shares | rounding | masks | bytes up: keys, shares, vector, unmasking | server: masks of all survivors | of one client that dropped out |');
log('| ---: | ---: | ---: | ---: | ---: | ---: | ---: |');
for (const degree of new Set([CLIENTS - 1, degreeFor(CLIENTS)])) {
  const graph = neighbourGraph(members, degree, 'bench');
  const [holders, needed] = [degree + 1, sharesNeeded(degree + 1)];
  const secrets = new Map(members.map((member) => [member, drawSecrets()]));
  const keys = new Map([...secrets].map(([member, drawn]) => [member, advertise(drawn)]));
  const keysOf = (names: readonly string[]): ReadonlyMap<string, PublicKeys> => new Map(names.map((name) => [name, keys.get(name)!]));
  const own = members[0]!;
  const neighbours = keysOf(graph.get(own)!);
  const deal = (member: string): ReturnType<typeof dealShares> => dealShares({ context, member }, secrets.get(member)!, keysOf(graph.get(member)!), needed);
  deal(members[1]!);

  let masks = new Masks([]);
  const dealt = new Map(members.map((member) => [member, deal(member)]));
  const sharing = seconds(() => {
    advertise(drawSecrets());
    deal(own);
    for (const [from, neighbour] of neighbours) openShare({ context, member: own }, secrets.get(own)!, from, neighbour, dealt.get(from)!.sealed.get(own)!);
    masks = masksOf({ context, member: own }, secrets.get(own)!, neighbours, needed);
  });
  const weight = quantizeWeight(500, quantization);
  const rounding = seconds(() => {
    for (let start = 0; start < VALUES; start += changes.length) {
      quantizeInto(vector.subarray(start, Math.min(VALUES, start + changes.length)), changes, weight, quantization);
    }
  });
  vector[VALUES] = weight;
  const masking = seconds(() => { masks.apply(vector); });

  const answersOf = (survivors: readonly string[]): Parameters<typeof recoverMasks>[1] => {
    const present = new Set(survivors);
    const shareOf = (owner: string, holder: string): SharePair => {
      const { own: kept, sealed } = dealt.get(owner)!;
      return holder === owner ? kept : openShare({ context, member: holder }, secrets.get(holder)!, owner, keys.get(owner)!, sealed.get(holder)!);
    };
    return new Map(survivors.map((holder) => {
      const owners = [holder, ...graph.get(holder)!];
      const pick = (isSurvivor: boolean, kind: 'seed' | 'key'): ReadonlyMap<string, Uint8Array> =>
        new Map(owners.filter((owner) => present.has(owner) === isSurvivor).map((owner) => [owner, shareOf(owner, holder)[kind]]));
      return [holder, { seeds: pick(true, 'seed'), keys: pick(false, 'key') }] as const;
    }));
  };
  const record = (survivors: readonly string[]): Parameters<typeof recoverMasks>[0] => ({ context, graph, members, survivors, keys, needed: () => needed });
  const everybody = answersOf(members);
  // As many streams as survivors: a few stand for all of them.
  const block = new Int32Array(Math.ceil(VALUES * (MEASURED / CLIENTS)));
  const unmasking = seconds(() => {
    const all = recoverMasks(record(members), everybody);
    for (let start = 0; start < block.length; start += 16 * MASK_BLOCK) all.apply(block.subarray(start, start + 16 * MASK_BLOCK));
  }) * (CLIENTS / MEASURED);
  const others = members.slice(1);
  const withOne = answersOf(others);
  const dropout = seconds(() => {
    const all = recoverMasks(record(others), withOne);
    for (let start = 0; start < block.length; start += 16 * MASK_BLOCK) all.apply(block.subarray(start, start + 16 * MASK_BLOCK));
  }) * (CLIENTS / MEASURED) - unmasking * ((CLIENTS - 1) / CLIENTS);
  const bytes = [3 * 32, degree * (64 + SEAL_BYTES), 4 * (VALUES + 1), holders * 32].map((size) => size.toLocaleString('en'));
  log(`| ${degree} | ${sharing.toFixed(3)} s | ${rounding.toFixed(2)} s | ${masking.toFixed(1)} s | ${bytes.join(', ')} | ${unmasking.toFixed(1)} s | ${dropout.toFixed(1)} s |`);
}
log(`\nthe server's figures are of a ${MEASURED} in ${CLIENTS} part of the values, times ${CLIENTS / MEASURED}; peak memory ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MB`);
