import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Trial } from '@zk0/rollout';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Clips } from '../../src/rollout/clips.ts';
import { chromiumPath, launch } from '../../../../browser.shared.ts';
import { HOSTILE, scenes } from './scenes.ts';
import { ScriptedServer } from './scripted-server.ts';

const RUN = '2026-11-28_09-12-44_1f0c77aa';
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let browser: Browser;
const servers: ScriptedServer[] = [];
const folders: string[] = [];
/** What went wrong in a page, and what it asked of others than its server. */
let troubles: string[] = [];

async function serve(make: () => Promise<ScriptedServer>): Promise<ScriptedServer> {
  const server = await make();
  servers.push(server);
  return server;
}

/** Opens the page of a server, as a person with this screen would. */
async function visit(server: ScriptedServer, options: BrowserContextOptions = {}): Promise<Page> {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, ...options });
  page.on('pageerror', ({ message }) => troubles.push(message));
  page.on('console', (message) => {
    // A server that is away, or wants a login, is no trouble of the page.
    if (message.type() === 'error' && !/net::ERR_|status of (401|503)/.test(message.text())) troubles.push(message.text());
  });
  const { url } = server;
  page.on('request', (request) => {
    if (!request.url().startsWith(url)) troubles.push(`asked for ${request.url()}`);
  });
  await page.goto(url);
  return page;
}

/** A clip of two seconds, as roll-outs leave them. */
async function filmed(): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'zk0-clip-'));
  folders.push(directory);
  const clips = new Clips(directory);
  const image = { width: 32, height: 32, data: new Uint8Array(32 * 32 * 3).fill(90) };
  for (let frame = 0; frame < 10; frame++) clips.film(0, { images: { front: image, wrist: image }, state: [0, 0, 0, 0, 0, 0], task: 'a task' });
  await clips.end({ index: 0, success: true, place: null } as Trial, 10);
  return join(directory, 'trial-001-success.mp4');
}

const text = (page: Page, selector: string): Promise<string> => page.locator(selector).first().innerText();

describe.skipIf(chromiumPath === undefined)('the page in a browser (needs Chromium: apt-get install chromium, or ZK0_TEST_CHROMIUM)', () => {
  beforeAll(async () => { browser = await launch(); });
  afterEach(async () => {
    for (const context of browser.contexts()) await context.close();
    for (const server of servers.splice(0)) await server.close();
    const had = troubles;
    troubles = [];
    expect(had).toEqual([]);
  });
  afterAll(async () => {
    await browser.close();
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  });

  it('shows a run as it goes on', async () => {
    const server = await serve(scenes['running-2']);
    const page = await visit(server);
    await page.waitForSelector('.link.live');
    expect(await text(page, '.headline h2')).toMatch(/^Running\s+Round 7 of 20$/);
    expect(await text(page, '.headline')).toMatch(/left/);
    expect(await text(page, '.facts')).toMatch(/small[\s\S]*fedprox[\s\S]*42[\s\S]*2 online/);
    expect(await page.locator('.clients .row:not(.head)').count()).toBe(2);
    server.progress(RUN, 7, 'anna', 'training', 44, 50, 0.4321);
    await page.waitForFunction(() => document.querySelector('.clients')!.textContent.includes('44 / 50'));
    expect(await text(page, '.clients')).toContain('0.4321');
    await server.record(RUN, { type: 'update-refused', round: 7, clientId: 'anna', code: 'X', message: 'its tensors hold NaN' });
    await page.waitForFunction(() => document.querySelector('.round-words')!.textContent.includes('1 refused'));
    server.page.line({ time: new Date(), level: 'error', process: 'server', message: 'the disk is full' });
    await page.waitForFunction(() => document.querySelector('#log li.error:last-child')?.textContent.includes('the disk is full'));
  });

  it('says how often a checkpoint did its task, with the interval, once somebody has tried it', async () => {
    const tried = { checkpoint: 'checkpoint_round_4', tasks: ['demo:cube-to-bowl'], trials: 120, successes: 22, rate: 22 / 120, low: 0.12, high: 0.26, clips: [] };
    const server = await serve(async () => {
      const made = await scenes['finished-2']();
      await made.stop();
      return made.start({}, { successes: (runId) => Promise.resolve(runId === RUN ? [tried, { ...tried, checkpoint: 'checkpoint_best', rate: 0.5, low: 0.4, high: 0.6 }] : []) });
    });
    const page = await visit(server, { viewport: { width: 1280, height: 900 } });
    await page.waitForSelector('.link.live');
    await page.selectOption('.run-choice select', RUN);
    await page.waitForSelector('text=18 %');
    expect(await page.locator('#checkpoints tbody tr').allInnerTexts()).toEqual([
      expect.not.stringContaining('%'),
      expect.stringMatching(/^4\s.*18 % \(12 – 26\) of 120/s),
      expect.stringMatching(/^best so far\s+50 % \(40 – 60\) of 120/),
    ] as unknown[]);
    await page.selectOption('.run-choice select', '2026-11-27_20-00-00_aa10c3d2');
    await page.waitForFunction(() => !document.querySelector('#checkpoints')!.textContent.includes('18 %'));
    expect((await fetch(`${server.url}/page/read/success?run=${encodeURIComponent('../../etc')}`)).status).toBe(409);
  });

  it('shows clips of a checkpoint’s trials, and winds in them', async () => {
    const clip = await filmed();
    const tried = { checkpoint: 'checkpoint_round_4', tasks: ['demo:cube-to-bowl'], trials: 120, successes: 22, rate: 22 / 120, low: 0.12, high: 0.26, clips: [{ file: 'trial-001-success.mp4', outcome: 'success', place: null }, { file: 'trial-002-dropped.mp4', outcome: 'dropped', place: 'left' }] };
    const server = await serve(async () => {
      const made = await scenes['finished-2']();
      await made.stop();
      return made.start({}, { successes: () => Promise.resolve([tried]), clip: (_run, _checkpoint, file) => Promise.resolve(file === 'trial-001-success.mp4' ? clip : null) });
    });
    const page = await visit(server);
    await page.click('#checkpoints button:has-text("success")');
    await page.waitForFunction(() => document.querySelector<HTMLVideoElement>('dialog video')?.readyState === 4);
    const video = await page.evaluate(async () => {
      const element = document.querySelector<HTMLVideoElement>('dialog video')!;
      element.pause();
      element.currentTime = 1.5;
      await new Promise((resolve) => { element.addEventListener('seeked', resolve, { once: true }); });
      return [element.videoWidth, element.videoHeight, element.error];
    });
    expect(video).toEqual([128, 64, null]);
    await page.click('dialog button');
    await page.waitForSelector('dialog', { state: 'detached' });
    expect((await fetch(`${server.url}/page/clips/${RUN}/checkpoint_round_4/trial-002-dropped.mp4`)).status).toBe(404);
  });

  it('shows how each client’s update compares with the others’, who disagrees first', async () => {
    const page = await visit(await serve(scenes['running-2']));
    await page.waitForSelector('#updates .row');
    expect(await text(page, '#updates h2')).toMatch(/round 6/i);
    expect(await page.locator('#updates .row:not(.head)').allInnerTexts()).toEqual([expect.stringMatching(/^anna\s+0\.\d+\s+0\.61$/), expect.stringMatching(/^ben\s+0\.\d+\s+0\.68$/)] as unknown[]);
    await page.click('.clients .row:not(.head) button >> nth=0');
    expect(await text(page, '.details')).toContain('Memory: 2.4 GB of 32.0 GB; NVIDIA GeForce RTX 4070: 9.1 GB of 12.8 GB');
  });

  it('pauses a run and lets it go on, excludes a client and readmits it, each after asking', async () => {
    const server = await serve(scenes['running-2']);
    const page = await visit(server);
    const typesOf = async (): Promise<string[]> => (await server.ledger.entries(RUN)).map(({ event }) => event.type).filter((type) => /^(run-paused|run-resumed|client-)/.test(type));
    await page.click('text=Pause');
    await page.waitForSelector('dialog[open]');
    await page.keyboard.press('Escape');
    await page.waitForSelector('dialog', { state: 'detached' });
    expect(await typesOf()).toEqual([]);
    await page.click('.headline >> text=Pause');
    await page.click('dialog button[type=submit]');
    await page.waitForFunction(() => document.querySelector('.headline h2 .badge.paused')?.textContent === 'Pausing');
    expect(await text(page, '.headline-now')).toBe('It was paused by an operator on the page: no round begins after this one.');
    await page.click('.headline >> text=Resume');
    await page.click('dialog button[type=submit]');
    await page.waitForFunction(() => document.querySelector('.headline h2')!.textContent.startsWith('Running'));
    await page.click('.clients .row:not(.head) button >> nth=1');
    await page.click('text=Exclude from the run');
    await page.click('dialog button[type=submit]');
    await page.click('text=Readmit to the run');
    await page.click('dialog button[type=submit]');
    await page.waitForSelector('text=Exclude from the run');
    expect(await text(page, '.round-words')).toContain('1 refused');
    expect(await typesOf()).toEqual(['run-paused', 'run-resumed', 'client-excluded', 'client-readmitted']);
  });

  it('has lines of clients in its log, by level, client and text', async () => {
    const server = await serve(scenes['running-2']);
    const page = await visit(server);
    await page.waitForSelector('.link.live');
    server.page.line({ time: new Date(), level: 'warn', process: 'client_anna', message: `frame 3 is skipped ${HOSTILE}` });
    await page.waitForFunction(() => document.querySelector('#log')!.textContent.includes('frame 3 is skipped'));
    await page.selectOption('#log select >> nth=1', 'client_anna');
    await page.selectOption('#log select >> nth=0', 'warn');
    expect(await page.locator('#log li').allTextContents()).toEqual([expect.stringMatching(/warning client_anna frame 3 is skipped <img/)] as unknown[]);
    expect(await page.title()).not.toContain('owned');
  });

  it('says of a private run what is spent of its budget, at which δ, and how updates are clipped and noised', async () => {
    const page = await visit(await serve(scenes['private-2']));
    await page.waitForSelector('.link.live');
    expect(await text(page, '.facts')).toMatch(/Privacy spent\s+ε = 1\.8\d* of 4\S* at δ = (?:1e-5|1\.0+e-5|0\.00001)\s+Noise\s+1\.1\d* × clipping norm 0\.8/i);
  });

  it('goes on by itself when the server was killed and is back, whatever happened meanwhile', async () => {
    const server = await serve(scenes['running-2']);
    const page = await visit(server);
    await page.waitForSelector('.link.live');
    await page.evaluate(() => { (globalThis as { mark?: number }).mark = 1; });
    await page.click('text=Log', { position: { x: 2, y: 2 } });
    await server.stop();
    await page.waitForSelector('.link.lost');
    expect(await text(page, '.link')).toMatch(/Not connected; trying again\. What you see is from \d\d:/);
    expect(await text(page, '.headline h2')).toMatch(/Round 7 of 20/);
    await server.restart();
    await server.record(RUN, { type: 'run-failed', code: 'X', message: 'the disk of the server broke' });
    await page.waitForSelector('.link.live');
    await page.waitForSelector('.headline.failed');
    expect(await text(page, '.headline-now')).toBe('The disk of the server broke.');
    expect(await page.evaluate(() => (globalThis as { mark?: number }).mark)).toBe(1);
  });

  it('says why a server refuses it', async () => {
    const page = await visit(await serve(() => new ScriptedServer().start({ limits: { maxFollowers: 0 } })));
    await page.waitForSelector('.link.lost');
    expect(await text(page, '.link')).toBe('The server refuses: 0 pages are open already (Close one of them.); trying again.');
  });

  it('runs nothing of what others call themselves or say', async () => {
    const server = await serve(scenes['running-2']);
    server.join('ben', { name: HOSTILE, label: HOSTILE, misfit: HOSTILE, agent: HOSTILE });
    server.waiting = HOSTILE;
    await server.submit('run-hostile', { policy: HOSTILE, strategy: { name: HOSTILE }, heldOut: [HOSTILE] });
    await server.record('run-hostile', { type: 'run-failed', code: 'X', message: HOSTILE });
    const page = await visit(server);
    await page.waitForSelector('.link.live');
    await page.click('.clients .row:not(.head) button >> nth=1');
    await page.click('#runs input >> nth=0');
    await page.click('#runs .link-button >> nth=0');
    await page.waitForSelector('.headline.failed');
    await page.waitForTimeout(300);
    expect(await page.title()).not.toContain('owned');
    expect(await page.locator('#page img, #page script').count()).toBe(0);
    expect(await text(page, '.headline-now')).toContain('<img src=x onerror=');
    expect(await text(page, '.headline-now')).toContain('\\u202e');
  });

  it('asks before it stops a run, and submits one', async () => {
    const server = await serve(scenes['running-2']);
    const page = await visit(server);
    await page.click('.headline button.grave');
    await page.waitForSelector('dialog[open]');
    await page.keyboard.press('Escape');
    await page.waitForSelector('dialog', { state: 'detached' });
    expect(server.stopped).toEqual([]);
    await page.click('.headline button.grave');
    await page.click('dialog button.grave');
    await page.waitForFunction(() => document.querySelector('.headline-now')!.textContent.includes('Ends as soon as'));
    expect(server.stopped).toEqual([RUN]);
    await page.click('text=New run');
    await page.fill('dialog input[name=rounds]', 'many');
    await page.click('dialog button[type=submit]');
    expect(await text(page, 'dialog .failure')).toBe('Rounds must be a number.');
    await page.fill('dialog input[name=rounds]', '3');
    await page.click('dialog button[type=submit]');
    await page.waitForFunction(() => document.querySelector('.notice')!.textContent.includes('run-submitted'));
    expect(server.submitted).toMatchObject([{ rounds: 3, policy: 'small', heldOut: ['demo:ball-to-mat', 'demo:lift-can?seed=9'], strategy: { name: 'fedprox' } }]);
  });

  it('finds, sorts and shows any of many clients, by keyboard too', async () => {
    const page = await visit(await serve(scenes['running-200']));
    await page.waitForSelector('.clients .row:not(.head)');
    expect(await page.locator('.clients .row:not(.head)').count()).toBeLessThan(40);
    expect(await page.locator('.clients').getAttribute('aria-rowcount')).toBe('201');
    await page.locator('.clients').focus();
    await page.keyboard.press('End');
    await page.waitForFunction(() => document.querySelector('.clients')!.textContent.includes('node-200'));
    await page.keyboard.press('Home');
    await page.locator('.clients .head button', { hasText: 'Client' }).focus();
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.querySelector('.clients .row:not(.head)')!.textContent.includes('node-200'));
    await page.click('text=Excluded 20');
    await page.fill('#clients input[type=search]', 'node-108');
    expect(await page.locator('.clients .row:not(.head)').count()).toBe(1);
    await page.click('.clients .row:not(.head) button');
    expect(await text(page, '.details')).toContain('It gets no work: so101-node-108 has 14 and 14');
  });

  it('has details of any round, and compares runs', async () => {
    const server = await serve(scenes['finished-2']);
    const page = await visit(server);
    await page.click('text=Earlier');
    expect(await text(page, '#rounds h2')).toBe('Round 7');
    expect(await page.locator('.timeline .row').count()).toBe(3);
    for (const box of await page.locator('#runs input[type=checkbox]').all()) await box.click();
    await page.waitForFunction(() => document.querySelectorAll('.comparison thead th').length === 3);
    expect(await text(page, '.comparison table')).toMatch(/strategy\.name\s+fedavg\s+fedprox/);
    await page.selectOption('.run-choice select', RUN);
    await page.waitForFunction(() => location.hash.includes('1f0c77aa'));
    await page.reload();
    await page.waitForFunction(() => document.querySelector('.facts')?.textContent.includes('fedprox'));
  });

  it('wants the operators’ token where the server does, over TLS, and forgets with the logout', async () => {
    const fixture = (name: string): string => readFileSync(new URL(`../../../../packages/transport/test/fixtures/${name}`, import.meta.url), 'utf8');
    const tls = { cert: fixture('server.crt'), key: fixture('server.key') };
    const server = await serve(() => new ScriptedServer().start({ operatorToken: 'operators only', tls }));
    const page = await visit(server, { ignoreHTTPSErrors: true });
    await page.fill('#token', 'operators only');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.link.live');
    await server.stop();
    await page.waitForSelector('.link.lost');
    await server.restart();
    await page.waitForSelector('.link.live');
    expect(await page.evaluate(() => document.cookie)).toBe('');
    expect(await page.context().cookies()).toMatchObject([{ name: '__Host-zk0-session', httpOnly: true, secure: true, sameSite: 'Strict' }]);
    await page.click('text=Log out');
    await page.waitForSelector('.login');
    await page.reload();
    await page.waitForSelector('.login');
  });

  it.each([
    ['running-200', 1280, 'light'], ['running-2', 390, 'dark'], ['finished-2', 1280, 'dark'], ['failed-2', 390, 'light'],
  ] as const)('has nothing that keeps people out, and fits: %s at %i, %s', async (scene, width, colorScheme) => {
    const page = await visit(await serve(scenes[scene]), { colorScheme, viewport: { width, height: 844 } });
    await page.waitForSelector('.link.live');
    if (scene === 'running-2') await page.click('.clients .row button');
    await page.waitForTimeout(100);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
    // As the page's own code would be: its rules let nothing else in.
    const session = await page.context().newCDPSession(page);
    await session.send('Runtime.evaluate', { expression: axe });
    const found = await page.evaluate(async () => {
      const { violations } = await (globalThis as unknown as { axe: { run(): Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }> } }).axe.run();
      return violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html, failureSummary }) => `${html} ${failureSummary}`).join('; ')}`);
    });
    expect(found).toEqual([]);
  });
});
