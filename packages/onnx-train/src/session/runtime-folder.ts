import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** The folder with the native libraries of the onnxruntime that is installed: its own and, where fetched, its providers'. */
export function runtimeFolder(): string {
  return join(runtimePackage(), 'bin/napi-v6', process.platform, process.arch);
}

/**
 * The package that onnxruntime's libraries are loaded from: the one that `ZK0_ONNXRUNTIME` names, the one for this platform that comes with
 * an installed `@zk0/onnx-train`, or onnxruntime-node itself.
 */
function runtimePackage(): string {
  const named = process.env['ZK0_ONNXRUNTIME'];
  if (named !== undefined && named !== '') return named;
  const { resolve } = createRequire(import.meta.url);
  try {
    return dirname(resolve(`@zk0/onnxruntime-${process.platform}-${process.arch}/package.json`));
  } catch {
    return dirname(resolve('onnxruntime-node/package.json'));
  }
}

/** Version of the onnxruntime whose libraries are used; `unknown` where its package does not say. */
export function runtimeVersion(): string {
  try {
    const { version } = JSON.parse(readFileSync(join(runtimePackage(), 'package.json'), 'utf8')) as { readonly version?: unknown };
    return typeof version === 'string' ? version : 'unknown';
  } catch {
    return 'unknown';
  }
}
