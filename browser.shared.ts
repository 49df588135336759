import { existsSync } from 'node:fs';
import { chromium, type Browser } from 'playwright-core';

/** Where Chromium is on Debian, Fedora and macOS, and Chrome where it is installed instead. */
const PLACES = [
  process.env['ZK0_TEST_CHROMIUM'],
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

/** The browser of this machine; `undefined` where there is none: tests that need one are skipped then. */
export const chromiumPath = PLACES.find((path): path is string => path !== undefined && existsSync(path));

/** Flags with which Chromium offers WebGPU on SwiftShader, its own Vulkan driver in software, where it would offer none. */
export const SOFTWARE_WEBGPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];

/** Starts the browser. */
export function launch(more: readonly string[] = []): Promise<Browser> {
  // Root, as in containers, has no sandbox; the pages are this repository's own.
  const flags = ['--disable-dev-shm-usage', '--force-color-profile=srgb', ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []), ...more];
  return chromium.launch({ executablePath: chromiumPath!, args: flags });
}
