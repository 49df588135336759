import type {
  Masks} from '../src/index.ts';
import {
  advertise,
  answerUnmask,
  dealShares,
  drawSecrets,
  masksOf,
  neighbourGraph,
  openShare,
  recoverMasks,
  sharesNeeded,
  type MemberSecrets,
  type PublicKeys,
  type SharePair,
  type SumRecord,
  type UnmaskAnswer,
  type UnmaskRequest,
} from '../src/index.ts';

/** When members fall silent. */
export interface Silences {
  /** After their keys are known. */
  readonly shares?: readonly string[];
  /** After their shares were dealt. */
  readonly vector?: readonly string[];
  /** After their vectors came in. */
  readonly unmask?: readonly string[];
}

interface Actor {
  readonly secrets: MemberSecrets;
  readonly keys: PublicKeys;
  readonly held: Map<string, SharePair>;
  readonly needed: number;
}

/** All members of a sum, and its server, in one place: what each would send is handed over. */
export class Rehearsal {
  readonly context = 'run/1';
  readonly graph: ReadonlyMap<string, readonly string[]>;
  readonly actors: ReadonlyMap<string, Actor>;
  readonly members: readonly string[];
  readonly survivors: readonly string[];
  readonly silences: Silences;

  constructor(everybody: readonly string[], degree: number, silences: Silences = {}) {
    this.silences = silences;
    const without = (names: readonly string[], gone: readonly string[] = []): string[] => names.filter((name) => !gone.includes(name));
    this.graph = neighbourGraph(everybody, degree, 'seed');
    this.members = without(everybody, silences.shares);
    this.survivors = without(this.members, silences.vector);
    this.actors = new Map(
      everybody.map((member) => {
        const secrets = drawSecrets();
        return [member, { secrets, keys: advertise(secrets), held: new Map<string, SharePair>(), needed: sharesNeeded(this.graph.get(member)!.length + 1) }];
      }),
    );
    for (const member of this.members) {
      const { own, sealed } = dealShares(this.seat(member), this.of(member).secrets, this.keysOf(this.graph.get(member)!), this.of(member).needed);
      this.of(member).held.set(member, own);
      for (const [holder, message] of sealed) {
        if (!this.members.includes(holder)) continue;
        this.of(holder).held.set(member, openShare(this.seat(holder), this.of(holder).secrets, member, this.of(member).keys, message));
      }
    }
  }

  of(member: string): Actor {
    return this.actors.get(member)!;
  }

  seat(member: string): { readonly context: string; readonly member: string } {
    return { context: this.context, member };
  }

  keysOf(names: readonly string[]): ReadonlyMap<string, PublicKeys> {
    return new Map(names.map((name) => [name, this.of(name).keys]));
  }

  present(member: string): readonly string[] {
    return this.graph.get(member)!.filter((other) => this.members.includes(other));
  }

  masks(member: string): Masks {
    return masksOf(this.seat(member), this.of(member).secrets, this.keysOf(this.present(member)), this.of(member).needed);
  }

  request(member: string): UnmaskRequest {
    const named = [member, ...this.present(member)];
    return { survivors: named.filter((name) => this.survivors.includes(name)), dropped: named.filter((name) => !this.survivors.includes(name)) };
  }

  answer(member: string, request = this.request(member), before: UnmaskRequest | null = null): UnmaskAnswer {
    return answerUnmask({ member }, this.of(member).held, this.of(member).needed, request, before);
  }

  answers(): Map<string, UnmaskAnswer> {
    const answering = this.survivors.filter((member) => this.silences.unmask?.includes(member) !== true);
    return new Map(answering.map((member) => [member, this.answer(member)]));
  }

  get record(): SumRecord {
    const { context, graph, members, survivors } = this;
    return { context, graph, members, survivors, keys: this.keysOf([...this.actors.keys()]), needed: (member) => this.of(member).needed };
  }

  /** What the server adds up, and then takes the masks from. */
  sum(vectors: ReadonlyMap<string, Int32Array>, answers: ReadonlyMap<string, UnmaskAnswer> = this.answers()): Int32Array {
    const [first] = vectors.values();
    const sum = new Int32Array(first!.length);
    for (const member of this.survivors) {
      const masked = vectors.get(member)!.slice();
      this.masks(member).apply(masked);
      for (let index = 0; index < sum.length; index++) sum[index] = (sum[index]! + masked[index]!) | 0;
    }
    recoverMasks(this.record, answers).apply(sum);
    return sum;
  }
}
