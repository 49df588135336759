import { globSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { binaryFacts, type BinaryFacts } from './binary-facts.ts';
import { KNOWN_PROVIDERS } from './needs.ts';

/** Larger libraries beside a provider are not read for their commit; onnxruntime's have 30 to 50 MB. */
const MAX_BYTES = 512 * 2 ** 20;

/**
 * The commit that a provider was built from. The file itself does not say it: a known digest does, or the onnxruntime that lies beside it in
 * the same package (the wheel's `onnxruntime_pybind11_state…so` or `libonnxruntime.so.…`).
 */
export function matchingCommit(provider: string, facts: BinaryFacts): string | undefined {
  const known = facts.commit ?? KNOWN_PROVIDERS[facts.sha256]?.commit;
  if (known !== undefined) return known;
  const folder = dirname(provider);
  const beside = ['onnxruntime_pybind11_state*.so', 'libonnxruntime.so.[0-9]*'].flatMap((pattern) => globSync(pattern, { cwd: folder }));
  for (const name of beside.slice(0, 4)) {
    const path = join(folder, name);
    if (statSync(path).size > MAX_BYTES) continue;
    const { commit } = binaryFacts(path);
    if (commit !== undefined) return commit;
  }
  return undefined;
}
