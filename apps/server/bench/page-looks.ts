/** Pictures of what opens on the page: dialogs, comparison, a marked client, a lost connection, the login. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { launch } from '../../../browser.shared.ts';
import { scenes } from '../test/page/scenes.ts';
import { ScriptedServer } from '../test/page/scripted-server.ts';

const folder = process.argv[2] ?? 'screenshots';
mkdirSync(folder, { recursive: true });
const browser = await launch();
for (const width of [1280, 390]) {
  const shot = async (name: string): Promise<void> => { await page.screenshot({ path: join(folder, `look-${name}-${width}.png`) }); };
  let page = await browser.newPage({ viewport: { width, height: 844 }, colorScheme: width === 390 ? 'dark' : 'light' });
  page.on('console', (message) => { console.log(message.type(), message.text()); });
  const server = await scenes['running-200']();
  await server.play('2026-11-20_08-00-00_0000aaaa', 6, ['node-001', 'node-002'], { rounds: 6, strategy: { name: 'fedavg' } });
  await page.goto(server.url);
  await page.waitForSelector('.link.live');
  await page.click('.clients .row:not(.head) button >> nth=7');
  await page.locator('#clients').scrollIntoViewIfNeeded();
  await page.waitForTimeout(300);
  await shot('marked');
  await page.locator('#log').scrollIntoViewIfNeeded();
  await page.waitForTimeout(300);
  await shot('log');
  for (const box of await page.locator('#runs input[type=checkbox]').all()) await box.click();
  await page.locator('.comparison').scrollIntoViewIfNeeded();
  await page.waitForTimeout(500);
  await shot('compare');
  await page.click('text=New run');
  await page.waitForTimeout(200);
  await shot('new-run');
  await page.keyboard.press('Escape');
  await page.evaluate(() => { scrollTo(0, 0); });
  await page.click('text=Stop the run');
  await page.waitForTimeout(200);
  await shot('stop');
  await page.keyboard.press('Escape');
  await server.stop();
  await page.waitForSelector('.link.lost');
  await page.waitForTimeout(1500);
  await shot('lost');
  await server.close();
  await page.close();
  const closed = await new ScriptedServer().start({ operatorToken: 'operators only' }, {
    nodes: {
      listNodes: () => Promise.resolve([
        { clientId: 'anna', state: 'pending', fingerprint: 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k', dataset: 'so101-cubes', enrolledAt: new Date(), lastSeenAt: null },
        { clientId: 'ben', state: 'approved', fingerprint: 'Z2VuZXJhdGVkIGZvciBhIHBpY3R1cmUgb2YgdGhlIHBn', dataset: 'so101-towels', enrolledAt: new Date(), lastSeenAt: new Date() },
      ]),
      approveNode: () => Promise.resolve(),
      revokeNode: () => Promise.resolve(),
    },
  });
  page = await browser.newPage({ viewport: { width, height: 844 }, colorScheme: width === 390 ? 'dark' : 'light' });
  page.on('console', (message) => { console.log(message.type(), message.text()); });
  await page.goto(closed.url);
  await page.waitForSelector('.login');
  await page.fill('#token', 'wrong');
  await page.click('button[type=submit]');
  await page.waitForSelector('.failure');
  await shot('login');
  await page.fill('#token', 'operators only');
  await page.click('button[type=submit]');
  await page.waitForSelector('#nodes');
  await page.waitForTimeout(300);
  await shot('nodes');
  await page.close();
  await closed.close();
}
await browser.close();
