/** Words that people use for the same place of a camera. */
const SYNONYMS: readonly (readonly string[])[] = [
  ['top', 'overhead', 'above', 'up', 'ceiling', 'birdseye', 'bird'],
  ['wrist', 'gripper', 'hand', 'eef', 'arm', 'handeye', 'ego'],
  ['front', 'base', 'main', 'scene', 'context', 'external', 'global', 'webcam', 'laptop', 'phone', 'table', 'high'],
  ['side', 'left', 'right'],
];

/** Most cameras that all assignments are tried for. */
const MAX_ASSIGNED = 7;

/**
 * The likeliest renaming of a dataset's cameras towards those that a policy takes: equal names stay, then the most similar names,
 * then the order in which both are listed.
 *
 * @returns dataset camera → policy camera, of those whose name changes
 */
export function proposeRenames(policyCameras: readonly string[], datasetCameras: readonly string[]): Readonly<Record<string, string>> {
  const wanted = policyCameras.filter((key) => !datasetCameras.includes(key)).slice(0, MAX_ASSIGNED);
  const free = datasetCameras.filter((key) => !policyCameras.includes(key)).slice(0, MAX_ASSIGNED);
  let best: { readonly score: number; readonly pairs: readonly (readonly [string, string])[] } = { score: -1, pairs: [] };
  const assign = (index: number, left: readonly string[], pairs: readonly (readonly [string, string])[], score: number): void => {
    if (index === wanted.length || left.length === 0) {
      if (score > best.score) best = { score, pairs };
      return;
    }
    const target = wanted[index]!;
    for (const key of left) {
      assign(index + 1, left.filter((other) => other !== key), [...pairs, [key, target]], score + similarity(key, target, free.indexOf(key), index));
    }
    // More cameras wanted than there are: one of them stays without.
    if (wanted.length - index > left.length) assign(index + 1, left, pairs, score);
  };
  assign(0, free, [], 0);
  return Object.fromEntries(best.pairs);
}

function similarity(dataset: string, policy: string, datasetIndex: number, policyIndex: number): number {
  const [a, b] = [wordsOf(dataset), wordsOf(policy)];
  const shared = a.filter((word) => b.includes(word)).length;
  const alike = SYNONYMS.filter((words) => a.some((word) => words.includes(word)) && b.some((word) => words.includes(word))).length;
  return 4 * shared + 2 * alike + bigrams(dataset, policy) + (datasetIndex === policyIndex ? 0.2 : 0);
}

/** The words of a camera's own name, numbers apart. */
function wordsOf(key: string): string[] {
  const own = key.replace(/^observation\.images?\.?/, '');
  return own.toLowerCase().match(/[a-z]+|\d+/g)?.filter((word) => !['cam', 'camera', 'image', 'images', 'rgb', 'color', 'view'].includes(word)) ?? [];
}

/** Share of pairs of letters that both have, 0 … 1. */
function bigrams(a: string, b: string): number {
  const pairs = (text: string): Set<string> => new Set(Array.from({ length: Math.max(0, text.length - 1) }, (_, i) => text.slice(i, i + 2)));
  const [inA, inB] = [pairs(a), pairs(b)];
  const both = [...inA].filter((pair) => inB.has(pair)).length;
  return (2 * both) / Math.max(1, inA.size + inB.size);
}
