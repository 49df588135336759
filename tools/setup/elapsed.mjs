/**
 * Shows that something goes on: one repainted line in a terminal, a line now and then elsewhere.
 *
 * @template T
 * @param {string} what
 * @param {Promise<T>} work
 * @returns {Promise<T>} what `work` gives
 */
export async function withElapsed(what, work) {
  const started = Date.now();
  const live = process.stderr.isTTY === true;
  const show = () => {
    const text = `${what}: ${Math.round((Date.now() - started) / 1000)} s`;
    process.stderr.write(live ? `\r\u001b[K${text.slice(0, (process.stderr.columns ?? 80) - 1)}` : `${text}\n`);
  };
  show();
  const timer = setInterval(show, live ? 1000 : 15_000);
  try {
    return await work;
  } finally {
    clearInterval(timer);
    if (live) process.stderr.write('\r\u001b[K');
  }
}
