import { cpSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { readJson, writeJson } from './files.ts';
import { sharedFields, type PackageJson } from './manifest.ts';

const PROGRAMS = ['server', 'client'] as const;

/**
 * Writes `zk0`: both programs in one package, for machines that want both. Installed beside each other, `@zk0/server` and `@zk0/client` would
 * bring their 300 MB of dependencies twice, because npm keeps those of global packages apart.
 *
 * @returns its folder
 */
export function stageBothPrograms(root: string, stage: string): string {
  const common = readJson(path.join(root, 'package.json')) as PackageJson;
  const [server] = PROGRAMS.map((name) => readJson(path.join(root, 'apps', name, 'package.json')) as PackageJson);
  const { version, engines } = server!;
  writeJson(path.join(stage, 'package.json'), {
    name: 'zk0',
    version,
    description: 'zk0-server and zk0-client: federated training of robot policies, without Python.',
    keywords: ['robotics', 'lerobot', 'smolvla', 'so-101', ...(common.keywords ?? [])],
    ...sharedFields(common, 'tools/release'),
    type: 'module',
    engines,
    exports: { './package.json': './package.json' },
    bin: Object.fromEntries(PROGRAMS.map((name) => [`zk0-${name}`, `zk0-${name}.js`])),
    files: [...PROGRAMS.map((name) => `zk0-${name}.js`), 'NOTICE'],
    dependencies: Object.fromEntries(PROGRAMS.map((name) => [`@zk0/${name}`, version])),
  });
  for (const name of PROGRAMS) {
    writeFileSync(path.join(stage, `zk0-${name}.js`), `#!/usr/bin/env node\nimport '@zk0/${name}/main';\n`, { mode: 0o755 });
  }
  cpSync(path.join(root, 'LICENSE'), path.join(stage, 'LICENSE'));
  cpSync(path.join(root, 'apps/server/NOTICE'), path.join(stage, 'NOTICE'));
  cpSync(path.join(root, 'README.md'), path.join(stage, 'README.md'));
  return stage;
}
