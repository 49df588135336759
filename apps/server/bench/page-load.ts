/**
 * What the operators' page costs: its size, the time to the first paint and to the first data, and the processor time and frames while
 * 200 clients report ten times a second. `node --conditions=@zk0/source bench/page-load.ts [CLIENTS] [SECONDS]`
 */
import { setTimeout as wait } from 'node:timers/promises';
import { launch } from '../../../browser.shared.ts';
import { ScriptedServer } from '../test/page/scripted-server.ts';

const RUN = '2026-11-28_09-12-44_1f0c77aa';
const count = Number(process.argv[2] ?? 200);
const seconds = Number(process.argv[3] ?? 20);

const server = await new ScriptedServer().start();
const ids = Array.from({ length: count }, (_, index) => `node-${String(index + 1).padStart(3, '0')}`);
for (const id of ids) server.join(id);
server.now = Date.now() - 300_000;
await server.play(RUN, 5, ids);
server.current = RUN;
server.now = Date.now();
await server.configure(RUN, 6, ids);

const files = await server.page.files();
const gzip = [...files].filter(([path]) => !path.endsWith('licenses.txt')).reduce((sum, [, file]) => sum + file.gzip.byteLength, 0);
console.log(`files            ${(gzip / 1000).toFixed(1)} kB gzip`);

const browser = await launch();
const paints: number[] = [];
const datas: number[] = [];
for (let visit = 0; visit < 5; visit++) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  await page.goto(server.url);
  await page.waitForSelector('.clients .row:not(.head)');
  datas.push(await page.evaluate(() => performance.now()));
  paints.push(await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN));
  await context.close();
}
const median = (values: readonly number[]): string => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!.toFixed(0);
console.log(`first paint      ${median(paints)} ms (median of 5: ${paints.map((ms) => ms.toFixed(0)).join(', ')})`);
console.log(`clients shown    ${median(datas)} ms after the address was entered`);

const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
await page.goto(server.url);
await page.waitForSelector('.clients .row:not(.head)');
await page.locator('#clients').scrollIntoViewIfNeeded();
const session = await browser.newBrowserCDPSession();
const cpu = async (): Promise<ReadonlyMap<string, number>> => {
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  const times = new Map<string, number>();
  for (const { type, cpuTime } of processInfo) times.set(type, (times.get(type) ?? 0) + cpuTime);
  return times;
};
const measure = async (name: string, report: boolean): Promise<void> => {
  let step = 0;
  const timer = report
    ? setInterval(() => {
        step++;
        for (const [index, id] of ids.entries()) server.progress(RUN, 6, id, 'training', step % 50, 50, 0.5 + ((step + index) % 100) / 1000);
      }, 100)
    : undefined;
  await wait(2000);
  const before = await cpu();
  const own = process.cpuUsage();
  await wait(seconds * 1000);
  const after = await cpu();
  const { user, system } = process.cpuUsage(own);
  // Counting frames is work in itself, sixty times a second: it comes after the processor time was taken.
  const frames = page.evaluate((ms) => new Promise<number>((resolve) => {
    let seen = 0;
    const end = performance.now() + ms;
    const next = (now: number): void => {
      seen++;
      if (now < end) requestAnimationFrame(next);
      else resolve(seen);
    };
    requestAnimationFrame(next);
  }), 5000);
  const fps = (await frames) / 5;
  clearInterval(timer);
  const share = (type: string): string => `${((100 * ((after.get(type) ?? 0) - (before.get(type) ?? 0))) / seconds).toFixed(1)} %`;
  const heap = await page.evaluate(() => (performance as unknown as { memory?: { usedJSHeapSize: number } }).memory?.usedJSHeapSize ?? 0);
  console.log(`${name.padEnd(16)} page ${share('renderer')} of a core, drawing ${share('GPU')}, server ${((user + system) / 1e4 / seconds).toFixed(1)} %, ${fps.toFixed(1)} frames a second, heap ${(heap / 1e6).toFixed(0)} MB`);
};
await measure('at rest', false);
await measure(`${count} clients`, true);
await browser.close();
await server.close();
