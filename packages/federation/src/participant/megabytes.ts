/** Bytes for people: `53 MB`, `0.012 MB`. */
export function megabytes(bytes: number): string {
  return bytes < 1e7 ? `${(bytes / 1e6).toPrecision(2)} MB` : `${(bytes / 1e6).toFixed(0)} MB`;
}
