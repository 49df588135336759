import { createProgress, table, zk0Home } from '@zk0/cli';
import { isVerified, verificationRows, verifyDevice } from '@zk0/policy-smolvla';

/**
 * `zk0-client doctor --verify`: runs every kind of graph on a device and on the processor and prints how far apart they are.
 *
 * @returns 1 when the device computed something else
 */
export async function verify(device: string, precision: string, { json }: { readonly json: boolean }): Promise<number | undefined> {
  const progress = createProgress(process.stderr);
  const found = await verifyDevice({
    device,
    precision,
    cacheDirectory: zk0Home(),
    onProgress: (part) => {
      progress.update({ label: `${part} on ${device} and on the processor` });
    },
  }).finally(() => {
    progress.finish();
  });
  const columns = ['', 'part', 'difference', 'allowed', `s on ${found.device}`, 's on the cpu'].map((header) => ({ header }));
  const verdict = isVerified(found)
    ? `device ${found.device} in ${found.precision} computes what the processor computes`
    : `device ${found.device} in ${found.precision} does not compute what the processor computes: do not train on it`;
  process.stdout.write(json ? `${JSON.stringify(found, null, 2)}\n` : `${table(columns, verificationRows(found))}\n${verdict}\n`);
  return isVerified(found) ? undefined : 1;
}
