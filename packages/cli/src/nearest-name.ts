import { distance } from 'fastest-levenshtein';

/** Letters only, so that `learning_rate`, `learning-rate` and `learningRate` are the same name. */
function folded(name: string): string {
  return name.toLowerCase().replace(/[^\p{L}\p{N}.]/gu, '');
}

/**
 * The candidate that a mistyped `name` most likely means, or `undefined` when none is close: at most a third of the
 * letters may differ. Case and separators do not count. The earliest candidate wins a tie.
 */
export function nearestName(name: string, candidates: Iterable<string>): string | undefined {
  const wanted = folded(name);
  let best: { readonly name: string; readonly edits: number } | undefined;
  for (const candidate of candidates) {
    const edits = distance(wanted, folded(candidate));
    const allowed = Math.max(1, Math.floor(Math.max(wanted.length, candidate.length) / 3));
    if (edits <= allowed && (best === undefined || edits < best.edits)) best = { name: candidate, edits };
  }
  return best?.name;
}

/** A longer list would not fit the one line that an error gets. */
const MAX_LISTED = 12;

/** `Did you mean "x"?`, or what exists when nothing is close. */
export function suggestion(name: string, candidates: readonly string[]): string {
  const nearest = nearestName(name, candidates);
  if (nearest !== undefined) return `Did you mean "${nearest}"?`;
  const listed = candidates.slice(0, MAX_LISTED).join(', ');
  return `Known: ${listed}${candidates.length > MAX_LISTED ? ', …' : ''}`;
}
