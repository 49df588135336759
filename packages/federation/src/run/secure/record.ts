import type { RoundState, RunState, SecureKeys, SecureState } from '@zk0/core';
import { neighbourGraph, sharesNeeded, type PublicKeys, type SumRecord, type UnmaskAnswer } from '@zk0/secure-aggregation';

type Graph = ReadonlyMap<string, readonly string[]>;
/** Many tasks of one round are made from the same graph. */
const graphs = new WeakMap<object, Graph>();

/** Who shares masks with whom in a round; empty until that is known. */
export function graphOf({ graph }: SecureState): Graph {
  if (graph === undefined) return new Map();
  const known = graphs.get(graph) ?? neighbourGraph(graph.members, graph.degree, graph.seed);
  graphs.set(graph, known);
  return known;
}

/** Names the sum of a round among all others. */
export function sumContext(runId: string, round: number): string {
  return `${runId}/${round}`;
}

/** Shares that give a secret of a member with so many neighbours. */
export function neededOf({ config }: Pick<RunState, 'config'>, neighbours: number): number {
  return sharesNeeded(neighbours + 1, config.secureAggregation?.threshold);
}

/** Those whose masked updates are in. */
export function survivorsOf({ participants }: RoundState): string[] {
  return [...participants].flatMap(([clientId, { outcome }]) => (outcome.state === 'accepted' ? [clientId] : []));
}

/** What is known of the sum of the newest round. */
export function sumRecord(state: RunState): SumRecord {
  const round = state.rounds.at(-1)!;
  const { members, keys } = round.secure!;
  const graph = graphOf(round.secure!);
  return {
    context: sumContext(state.runId, round.round),
    graph,
    members,
    survivors: survivorsOf(round),
    keys: new Map([...keys].map(([clientId, known]) => [clientId, decodeKeys(known)])),
    needed: (member) => neededOf(state, graph.get(member)!.length),
  };
}

/** What members of the newest round have given to take its masks off. */
export function unmaskAnswers({ answers }: SecureState): ReadonlyMap<string, UnmaskAnswer> {
  return new Map([...answers].flatMap(([clientId, answer]) => (answer === null ? [] : [[clientId, { seeds: decodeAll(answer.seeds), keys: decodeAll(answer.keys) }]])));
}

/** Public keys, as they travel. */
export function encodeKeys({ encryption, masking, seedHash }: PublicKeys): SecureKeys {
  return { encryption: encode(encryption), masking: encode(masking), seedHash: encode(seedHash) };
}

export function decodeKeys({ encryption, masking, seedHash }: SecureKeys): PublicKeys {
  return { encryption: decode(encryption), masking: decode(masking), seedHash: decode(seedHash) };
}

/** Bytes by name, as they travel. */
export function encodeAll(values: ReadonlyMap<string, Uint8Array>): Record<string, string> {
  return Object.fromEntries([...values].map(([name, bytes]) => [name, encode(bytes)]));
}

export function decodeAll(values: Readonly<Record<string, string>>): ReadonlyMap<string, Uint8Array> {
  return new Map(Object.entries(values).map(([name, text]) => [name, decode(text)]));
}

export function encode(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

export function decode(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64'));
}
