import { cpSync, existsSync, linkSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { readJson, writeJson } from './files.ts';
import { sharedFields, without, type PackageJson } from './manifest.ts';

/**
 * Why two dependencies are repackaged. Their install scripts download what nobody asked for: onnxruntime-node's the CUDA
 * libraries, of more than 200 MB, without which it fails; node-av's an ffmpeg program, which zk0 does not use. The settings
 * that turn this off cannot be set by a package for those who install it. onnxruntime-node also holds the libraries of
 * five platforms, 288 MB, of which a machine uses one.
 *
 * So the packages that need them bundle their JavaScript, without scripts, and depend on the libraries as optional packages
 * of one platform each: node-av has those, for onnxruntime they are made here.
 */
const RUNTIME = 'onnxruntime-node';
const RUNTIME_INTERFACES = 'onnxruntime-common';
const VIDEO = 'node-av';

/** Platforms that onnxruntime-node has libraries for. */
export const PLATFORMS = ['darwin-arm64', 'linux-arm64', 'linux-x64', 'win32-arm64', 'win32-x64'] as const;
export type Platform = (typeof PLATFORMS)[number];

/** node-av's packages with its library; of Windows those for the Node that nodejs.org offers. */
const VIDEO_PARTS = ['darwin-arm64', 'darwin-x64', 'linux-arm64', 'linux-x64', 'win32-arm64-msvc', 'win32-x64-msvc'] as const;

/** The package with onnxruntime's libraries for one platform. */
export function runtimePackage(platform: Platform): string {
  return `@zk0/onnxruntime-${platform}`;
}

/** Gives the staged package what it needs of the dependencies that are repackaged. */
export function bundleNativeParts(root: string, stage: string, manifest: PackageJson): PackageJson {
  let bundled = manifest;
  if (manifest.dependencies?.[RUNTIME] !== undefined) bundled = bundleRuntime(root, stage, bundled);
  if (manifest.optionalDependencies?.[VIDEO] !== undefined) bundled = bundleVideo(root, stage, bundled);
  return bundled;
}

function bundleRuntime(root: string, stage: string, manifest: PackageJson): PackageJson {
  const from = path.join(root, 'node_modules', RUNTIME);
  const to = path.join(stage, 'node_modules', RUNTIME);
  const { version, license, main, types, dependencies } = readJson(path.join(from, 'package.json')) as PackageJson;
  const interfaces = { [RUNTIME_INTERFACES]: dependencies![RUNTIME_INTERFACES]! };
  copyCode(path.join(from, 'dist'), path.join(to, 'dist'), ['.js', '.d.ts']);
  const binding = path.join(to, 'dist/binding.js');
  writeFileSync(binding, withLocatedLibrary(readFileSync(binding, 'utf8')));
  writeJson(path.join(to, 'package.json'), { name: RUNTIME, version, license, main, types, dependencies: interfaces });
  // npm does not install what a bundled package depends on, so that is bundled, too.
  const [commonFrom, commonTo] = [root, stage].map((at) => path.join(at, 'node_modules', RUNTIME_INTERFACES)) as [string, string];
  copyCode(path.join(commonFrom, 'dist'), path.join(commonTo, 'dist'), ['.js', '.d.ts', 'package.json']);
  writeJson(path.join(commonTo, 'package.json'), without(readJson(path.join(commonFrom, 'package.json')) as PackageJson, ['scripts', 'devDependencies']));
  return {
    ...manifest,
    dependencies: { ...manifest.dependencies, ...interfaces },
    optionalDependencies: {
      ...manifest.optionalDependencies,
      ...Object.fromEntries(PLATFORMS.map((platform) => [runtimePackage(platform), version])),
    },
    bundleDependencies: [...(manifest.bundleDependencies ?? []), RUNTIME, RUNTIME_INTERFACES],
  };
}

/**
 * The binding's loader, looking for the library where it is: in the platform's package, or in a folder that the user names,
 * which is how a library with CUDA is used.
 */
function withLocatedLibrary(code: string): string {
  const asShipped = 'require(`../bin/napi-v6/${process.platform}/${process.arch}/onnxruntime_binding.node`)';
  if (code.split(asShipped).length !== 2) throw new Error(`${RUNTIME} loads its library in another way than before: adapt tools/release`);
  const located =
    "require(require('node:path').join(process.env.ZK0_ONNXRUNTIME || " +
    "require('node:path').dirname(require.resolve(`@zk0/onnxruntime-${process.platform}-${process.arch}/package.json`)), " +
    '`bin/napi-v6/${process.platform}/${process.arch}/onnxruntime_binding.node`))';
  return code.replace(asShipped, () => located);
}

function bundleVideo(root: string, stage: string, manifest: PackageJson): PackageJson {
  const from = path.join(root, 'node_modules', VIDEO);
  const to = path.join(stage, 'node_modules', VIDEO);
  const { version, license, type } = readJson(path.join(from, 'package.json')) as PackageJson;
  for (const folder of ['lib', 'constants', 'utils']) copyCode(path.join(from, 'dist', folder), path.join(to, 'dist', folder), ['.js']);
  cpSync(path.join(from, 'LICENSE.md'), path.join(to, 'LICENSE.md'));
  writeJson(path.join(to, 'package.json'), {
    name: VIDEO,
    version,
    license,
    type,
    exports: { './package.json': './package.json', './lib': './dist/lib/index.js', './constants': './dist/constants/index.js' },
  });
  const { [VIDEO]: pinned, ...optional } = manifest.optionalDependencies!;
  return {
    ...manifest,
    dependencies: { ...manifest.dependencies, [VIDEO]: pinned! },
    optionalDependencies: { ...optional, ...Object.fromEntries(VIDEO_PARTS.map((part) => [`@seydx/node-av-${part}`, version])) },
    bundleDependencies: [...(manifest.bundleDependencies ?? []), VIDEO],
  };
}

function copyCode(from: string, to: string, endings: readonly string[]): void {
  mkdirSync(to, { recursive: true });
  for (const file of readdirSync(from, { recursive: true }).map(String)) {
    if (endings.some((ending) => file.endsWith(ending))) cpSync(path.join(from, file), path.join(to, file));
  }
}

/**
 * Writes the package with onnxruntime's libraries for one platform: onnxruntime-node's own files, nothing else.
 *
 * @returns its folder
 */
export function stageRuntime(root: string, platform: Platform, stage: string): string {
  const from = path.join(root, 'node_modules', RUNTIME);
  const [os, cpu] = platform.split('-') as [string, string];
  const libraries = path.join('bin/napi-v6', os, cpu);
  if (!existsSync(path.join(from, libraries))) throw new Error(`${RUNTIME} has no library for ${platform}: adapt tools/release`);
  mkdirSync(path.join(stage, libraries), { recursive: true });
  for (const file of readdirSync(path.join(from, libraries))) {
    linkOrCopy(path.join(from, libraries, file), path.join(stage, libraries, file));
  }
  const common = readJson(path.join(root, 'package.json')) as PackageJson;
  const { version } = readJson(path.join(from, 'package.json')) as PackageJson;
  writeJson(path.join(stage, 'package.json'), {
    name: runtimePackage(platform),
    version,
    description: `The libraries of ${RUNTIME} ${version} for ${platform}, as they are, without its install script.`,
    keywords: ['onnxruntime', ...(common.keywords ?? [])],
    ...sharedFields(common, 'tools/release'),
    license: 'MIT',
    exports: { './package.json': './package.json' },
    files: ['bin'],
    os: [os],
    cpu: [cpu],
    ...(os === 'linux' && { libc: ['glibc'] }),
  });
  writeFileSync(path.join(stage, 'README.md'), `# ${runtimePackage(platform)}\n\n${RUNTIME_README}`);
  cpSync(path.join(root, 'tools/release/onnxruntime-LICENSE'), path.join(stage, 'LICENSE'));
  return stage;
}

const RUNTIME_README = `The native libraries of [onnxruntime-node](https://www.npmjs.com/package/onnxruntime-node) for one platform, byte for byte
as Microsoft published them under the MIT licence. \`@zk0/onnx-train\` depends on it, so that an install downloads one platform's
libraries and runs no script. It has no code of its own to import.
`;

function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    cpSync(from, to);
  }
}
