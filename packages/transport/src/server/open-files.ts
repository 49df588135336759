/** Files that stay for what is not a connection: databases, blobs, logs, and the system's own. */
const RESERVED_FILES = 500;

/**
 * Connections that the process can hold without running out of files for its own work, at most `most`. Every connection is an open file,
 * and the system limits their number (`ulimit -n`; Node has raised it as far as it may); Windows has no such limit.
 */
export function connectionsThatFit(most: number, limit = openFilesLimit()): number {
  return typeof limit === 'number' ? Math.max(1, Math.min(most, limit - RESERVED_FILES)) : most;
}

/** `null` on Windows. */
function openFilesLimit(): number | 'unlimited' | null {
  // Looking up the names of open connections would take its time; Node's own types do not know the switch yet.
  Object.assign(process.report, { excludeNetwork: true });
  const { userLimits } = process.report.getReport() as { readonly userLimits?: { readonly open_files?: { readonly soft: number | 'unlimited' } } };
  return userLimits?.open_files?.soft ?? null;
}
