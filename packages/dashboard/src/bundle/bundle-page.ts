import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { build, type Plugin } from 'esbuild';

/** Packages that end up in the bundle; their licences go with it. */
const BUNDLED = ['preact', '@preact/signals', '@preact/signals-core', 'uplot'];

/**
 * Bundles the page: one script and one style sheet, named by their hashes, and a document that names both. Nothing is left to be fetched
 * from elsewhere.
 *
 * @param folder - the sources: `main.tsx`, `style.css`, `index.html`, `icon.svg`
 * @returns contents by file name
 */
export async function bundlePage(folder: string): Promise<ReadonlyMap<string, Uint8Array>> {
  const { outputFiles } = await build({
    entryPoints: [join(folder, 'main.tsx'), join(folder, 'style.css')],
    entryNames: '[name]-[hash]',
    outdir: folder,
    write: false,
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: ['es2022', 'chrome111', 'firefox115', 'safari16.4'],
    jsx: 'automatic',
    jsxImportSource: 'preact',
    legalComments: 'none',
    logLevel: 'silent',
    tsconfigRaw: {},
    plugins: [linesAlone],
  });
  const files = new Map(outputFiles.map(({ path, contents }): [string, Uint8Array] => [basename(path), contents]));
  const named = (pattern: RegExp): string => [...files.keys()].find((name) => pattern.test(name)) ?? '';
  const html = await readFile(join(folder, 'index.html'), 'utf8');
  files.set('index.html', Buffer.from(html.replace('%SCRIPT%', named(/\.js$/)).replace('%STYLE%', named(/\.css$/))));
  files.set('icon.svg', await readFile(join(folder, 'icon.svg')));
  files.set('licenses.txt', Buffer.from(await licenses()));
  return files;
}

/**
 * The page draws lines: uPlot hands out its other kinds of curves (steps, bars, splines) as members of one object, which keeps a bundler from
 * leaving them out.
 */
const linesAlone: Plugin = {
  name: 'uplot-lines-alone',
  setup: (bundling) => {
    bundling.onLoad({ filter: /uPlot\.esm\.js$/ }, async ({ path }) => {
      const whole = await readFile(path, 'utf8');
      const contents = whole.replace(/^\s*\(?paths\.(?:stepped|bars|spline)\s*=.*$/gm, '');
      return contents.length < whole.length ? { contents, loader: 'js' } : { errors: [{ text: `${path} does not name its kinds of curves as it did; see bundle-page.ts` }] };
    });
  },
};

async function licenses(): Promise<string> {
  const require = createRequire(import.meta.url);
  const texts = BUNDLED.map(async (name) => {
    let folder = dirname(require.resolve(name));
    while (!existsSync(join(folder, 'LICENSE')) && folder !== dirname(folder)) folder = dirname(folder);
    return `${name}\n\n${await readFile(join(folder, 'LICENSE'), 'utf8')}`;
  });
  return (await Promise.all(texts)).join('\n\n');
}
