/**
 * Takes pictures of the operators' page, in every state, size and colour scheme, to be looked at:
 * `node --conditions=@zk0/source bench/page-screenshots.ts FOLDER`.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { launch } from '../../../browser.shared.ts';
import { scenes } from '../test/page/scenes.ts';

const folder = process.argv[2] ?? 'screenshots';
const only = process.argv[3];
mkdirSync(folder, { recursive: true });
const browser = await launch();
for (const [name, scene] of Object.entries(scenes)) {
  if (only !== undefined && !name.includes(only)) continue;
  const server = await scene(9);
  for (const width of [1280, 390]) {
    for (const colorScheme of ['light', 'dark'] as const) {
      const page = await browser.newPage({ viewport: { width, height: width === 390 ? 844 : 900 }, colorScheme });
      page.on('console', (message) => { console.log(name, width, message.type(), message.text()); });
      page.on('pageerror', (error) => { console.log(name, width, error.message); });
      await page.goto(server.url);
      await page.waitForSelector('.link.live');
      await page.waitForTimeout(600);
      await page.screenshot({ path: join(folder, `${name}-${width}-${colorScheme}.png`), fullPage: true });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      if (wide > width) console.log(`${name} ${width}: the page is ${wide} wide`);
      await page.close();
    }
  }
  await server.close();
}
await browser.close();
