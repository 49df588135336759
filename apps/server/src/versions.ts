import { readFileSync } from 'node:fs';
import { Zk0Error } from '@zk0/core';
import { runtimeVersion } from '@zk0/policy-smolvla';

/** Versions of what computes: of this program, of Node and of onnxruntime. */
export function versions(): Readonly<Record<'zk0' | 'node' | 'onnxruntime', string>> {
  const version = (specifier: string): string => {
    const url = new URL(import.meta.resolve(specifier));
    const { version } = JSON.parse(readFileSync(url, 'utf8')) as { version?: string };
    if (version === undefined) throw new Zk0Error('INSTALLATION_BROKEN', `${specifier} names no version`, { hint: 'Install zk0 again.' });
    return version;
  };
  return { zk0: version('@zk0/core/package.json'), node: process.versions.node, onnxruntime: runtimeVersion() };
}
