import { TrackerError } from './errors.ts';
import { requestJson } from './http.ts';
import { hasFigures } from './lines.ts';
import type { Service, ServiceOptions } from './service.ts';

/**
 * trackio's `bulk_log`. A line has an id of its own there, so sending it again changes nothing. A trackio run has no end, and its settings
 * come with the first figures.
 */
export function trackio({ address, environment }: ServiceOptions): Service {
  const token = environment['TRACKIO_WRITE_TOKEN'] ?? '';
  const headers: Readonly<Record<string, string>> = token === '' ? {} : { 'x-trackio-write-token': token };
  return {
    send: async (lines, remote, signal) => {
      const begun = lines.flatMap(({ line }) => (line.kind === 'run' ? [line] : []))[0];
      const run = begun?.run ?? remote['run'];
      const config = begun === undefined ? (remote['config'] ?? '') : JSON.stringify(begun.config);
      if (run === undefined) throw new TrackerError('TRACKER_REFUSED', 'figures came before their run');
      const logs: { config: unknown; readonly [name: string]: unknown }[] = lines.flatMap(({ number, line }) =>
        hasFigures(line) ? [{ project: address.project, run, run_id: run, metrics: line.values, step: line.step, log_id: `${run}:${number}`, config: null }] : [],
      );
      if (logs.length === 0) return { run, config };
      if (config !== '') logs[0]!.config = JSON.parse(config);
      try {
        const answer = await requestJson({ method: 'POST', url: `${address.url}/api/bulk_log`, headers, signal, body: { logs, hf_token: null } });
        if (answer === null) throw new TrackerError('TRACKER_UNREACHABLE', `no trackio is at ${address.url}`, { hint: 'Check the address; figures are kept until then.' });
      } catch (error) {
        // trackio answers a missing credential with 400, and says so in words.
        if (error instanceof TrackerError && error.code === 'TRACKER_REFUSED' && error.message.includes('write_token')) {
          throw new TrackerError('TRACKER_UNAUTHORIZED', `trackio at ${address.url} does not accept the credentials`, { cause: error, hint: 'Set TRACKIO_WRITE_TOKEN to the token that trackio printed with its write-access URL.' });
        }
        throw error;
      }
      return { run, config: '' };
    },
  };
}
