import { existsSync } from 'node:fs';
import { configDefaults, type ViteUserConfig } from 'vitest/config';

/** The quick tests alone: those beside their sources, without `*.slow.test.ts`. They start no process and no browser, train no policy, and need no build. */
const unitOnly = process.env['ZK0_TESTS'] === 'unit';

/** What projects add whose tests under `test/` start the built programs. */
export const needsBuild = unitOnly ? {} : { globalSetup: '../../tools/setup/build-before-tests.ts' };

/** What every package's `vitest.config.ts` builds on. */
export const shared = {
  test: {
    environment: 'node',
    // Node itself loads the sources, as it does in programs: nothing is transformed first. Modules cannot be mocked (`vi.mock`) so.
    experimental: { viteModuleRunner: false, nodeLoader: false },
    // Workspace packages are their TypeScript sources: tests need no build.
    execArgv: ['--conditions=@zk0/source'],
    include: ['src/**/*.test.ts', ...(unitOnly ? [] : ['test/**/*.test.ts'])],
    exclude: [...configDefaults.exclude, ...(unitOnly ? ['**/*.slow.test.ts'] : [])],
    // A package may have no tests beside its sources.
    passWithNoTests: unitOnly,
    // One process takes one file after the other of a project: starting it and loading the packages anew costs more than most files' tests.
    isolate: false,
    // Concurrent tests start processes: more at once than cores only makes each of them late.
    maxConcurrency: 2,
    watch: false,
    restoreMocks: true,
    // Against what hangs, not what is slow: two files run at once, on machines that have other work.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
} satisfies ViteUserConfig;

/** Where SwiftShader, a Vulkan driver in software, describes itself: Debian's chromium-common, Fedora's chromium. */
const SOFTWARE_VULKAN = ['/usr/lib/chromium/vk_swiftshader_icd.json', '/usr/lib64/chromium-browser/vk_swiftshader_icd.json'];

/** The Vulkan loader, which finds the driver; Debian's and Fedora's folders. Chromium installs the driver alone. */
const VULKAN_LOADER = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map((folder) => `/usr/lib/${folder}/libvulkan.so.1`).concat('/usr/lib64/libvulkan.so.1');

/**
 * Environment of tests that use WebGPU: they run where `ZK0_TEST_WEBGPU` is 1. It is where somebody says so, because there
 * is a GPU, and where SwiftShader and the Vulkan loader (`libvulkan1`) are installed. It is read before the driver is loaded.
 */
export function webgpuEnvironment(): Record<string, string> {
  const driver = SOFTWARE_VULKAN.find((path) => existsSync(path));
  if (process.env['ZK0_TEST_WEBGPU'] !== undefined || driver === undefined || !VULKAN_LOADER.some((path) => existsSync(path))) return {};
  return { ZK0_TEST_WEBGPU: '1', VK_DRIVER_FILES: driver, VK_ICD_FILENAMES: driver };
}
