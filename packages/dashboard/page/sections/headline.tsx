import { computed } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import { bestLoss, stillOut, timeLeft } from '../../src/model/derive.ts';
import type { RoundView, RunView } from '../../src/model/view.ts';
import { counted, formatDuration, formatNumber, sentence, settingText, visible } from '../format.ts';
import { Hash } from '../parts/card.tsx';
import { announce, confirm } from '../parts/dialogs.tsx';
import { ask } from '../server.ts';
import { chosenRun, currentRun, now, run, runError, view, waiting } from '../state.ts';

const NAMES: Readonly<Record<RunView['phase'], string>> = {
  waiting_for_clients: 'Waiting for clients',
  running: 'Running',
  finished: 'Finished',
  failed: 'Failed',
  stopped: 'Stopped',
  unreadable: 'Cannot be read',
};

/** The run in one look: where it is, how long it takes, what it is. */
export function Headline(): JSX.Element {
  const { value } = run;
  if (value === null) return <NoRun />;
  const { config, phase } = value;
  const total = Number(config['rounds']);
  const last = value.rounds.at(-1)?.round ?? 0;
  const done = value.rounds.filter(({ round, endedAt }) => round > 0 && endedAt !== undefined).at(-1)?.round ?? 0;
  const left = timeLeft(value, now.value);
  const began = value.startedAt ?? value.createdAt;
  document.title = phase === 'running' ? `${last}/${total} · zk0` : `${NAMES[phase]} · zk0`;
  return (
    <section class={`card full headline ${phase}`} aria-labelledby="headline-title">
      <div class="headline-top">
        <h2 id="headline-title"><span class={`badge ${isOpen(value) && value.paused !== undefined ? 'paused' : phase}`}>{stateName(value)}</span> {last === 0 ? counted(total, 'round') : `Round ${last} of ${total}`}</h2>
        <p class="headline-time">
          {left === null ? '' : <><b>{formatDuration(left)}</b> left · </>}
          <span class="quiet">{value.endedAt === undefined ? `${formatDuration(now.value - began)} so far` : `took ${formatDuration(value.endedAt - began)}`}</span>
        </p>
        {isOpen(value) && <div class="buttons"><PauseButton run={value} /><StopButton run={value} /></div>}
      </div>
      <progress value={done} max={total} aria-label="Rounds done">{done} of {total}</progress>
      <p class="headline-now">{whatNow(value)}</p>
      <p class="hidden" role="status">{stateName(value)}, round {last} of {total}</p>
      <dl class="facts">
        <Fact name="Policy"><bdi>{settingText(config['policy'])}</bdi></Fact>
        <Fact name="Strategy"><bdi>{strategyOf(value)}</bdi></Fact>
        <Fact name="Seed">{settingText(config['seed'])}</Fact>
        <Fact name="Clients">{clientsInWords}</Fact>
        {value.rounds.length > 0 && <LossFacts run={value} />}
        {value.parameters !== undefined && <Fact name="Parameters"><Hash value={value.parameters} /></Fact>}
      </dl>
    </section>
  );
}

/** Whether it can still change. */
function isOpen({ phase }: RunView): boolean {
  return phase === 'running' || phase === 'waiting_for_clients';
}

/** Whether a round is at work, which a pause waits for. */
function hasOpenRound({ rounds }: RunView): boolean {
  return rounds.at(-1)?.endedAt === undefined && rounds.length > 0;
}

/** A run waits for clients, or for its turn, or only for what it needs to begin. */
function stateName(shown: RunView): string {
  const { phase, runId, paused } = shown;
  if (isOpen(shown) && paused !== undefined) return hasOpenRound(shown) ? 'Pausing' : 'Paused';
  if (phase !== 'waiting_for_clients' || currentRun.value === null || waiting.value !== null) return NAMES[phase];
  return currentRun.value === runId ? 'Getting ready' : 'Queued';
}

function NoRun(): JSX.Element {
  document.title = 'zk0';
  return (
    <section class="card full headline" aria-labelledby="headline-title">
      <h2 id="headline-title">{chosenRun.value === null ? 'No run yet' : 'Loading the run …'}</h2>
      {runError.value === null ? (
        <p>{chosenRun.value === null && <>Submit one here, or with <code>zk0-server run --rounds 3 --stream</code>. It starts when enough clients are there.</>}</p>
      ) : (
        <p class="failure" role="alert">{runError.value}</p>
      )}
    </section>
  );
}

function Fact({ name, children }: { readonly name: string; readonly children: ComponentChildren }): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function LossFacts({ run: shown }: { readonly run: RunView }): JSX.Element {
  const best = bestLoss(shown);
  const newest = shown.rounds.findLast(({ evaluation }) => evaluation != null);
  const priv = shown.rounds.findLast((round) => round.noiseMultiplier !== undefined || round.epsilon !== undefined);
  return (
    <>
      <Fact name="Held-out loss">{newest?.evaluation == null ? '–' : formatNumber(newest.evaluation.loss)}</Fact>
      <Fact name="Lowest">
        {best === null ? '–' : <>{formatNumber(best.loss)} <span class="quiet">round {best.round}{best.initial !== undefined && best.round > 0 ? `, ${change(best.loss, best.initial)}` : ''}</span></>}
      </Fact>
      {priv !== undefined && <PrivacyFacts run={shown} round={priv} />}
    </>
  );
}

function PrivacyFacts({ run: shown, round: { epsilon, delta, noiseMultiplier, clippingNorm } }: { readonly run: RunView; readonly round: RoundView }): JSX.Element {
  const budget = budgetOf(shown);
  return (
    <>
      <Fact name="Privacy spent">
        {epsilon === undefined ? 'no ε holds: no noise was added' : `ε = ${formatNumber(epsilon)}`}
        <span class="quiet">{budget === undefined ? '' : ` of ${formatNumber(budget)}`}{delta === undefined ? '' : ` at δ = ${formatNumber(delta)}`}</span>
      </Fact>
      {noiseMultiplier !== undefined && (
        <Fact name="Noise">
          {formatNumber(noiseMultiplier)} <span class="quiet">{clippingNorm === undefined ? '× clipping norm' : `× clipping norm ${formatNumber(clippingNorm)}`}</span>
        </Fact>
      )}
    </>
  );
}

function change(loss: number, initial: number): string {
  const percent = Math.round((loss / initial - 1) * 100);
  return `${percent > 0 ? '+' : '−'}${Math.abs(percent)} %`;
}

function budgetOf({ config }: RunView): number | undefined {
  const { budget } = config['strategy'] as { readonly budget?: { readonly epsilon?: number } };
  return budget?.epsilon;
}

function strategyOf({ config }: RunView): string {
  const { name, ...options } = config['strategy'] as Readonly<Record<string, unknown>>;
  const short = Object.entries(options).filter(([, value]) => typeof value !== 'object').map(([key, value]) => `${key} ${String(value)}`);
  return visible([String(name), ...short].join(', '));
}

const clientsInWords = computed(() => {
  const all = [...(view.value?.clients.values() ?? [])];
  const online = all.filter(({ state }) => state === 'idle' || state === 'working').length;
  const working = all.filter(({ state }) => state === 'working').length;
  return `${online} online, ${working} at work`;
});

/** One sentence on what is going on. */
function whatNow(shown: RunView): string {
  const { phase, stopRequested, ending, serverWork } = shown;
  if (phase === 'failed' || phase === 'stopped') return sentence(ending ?? '');
  if (phase === 'finished') return sentence(ending ?? 'all rounds are done');
  if (stopRequested !== undefined) return `Ends as soon as its newest finished round has a checkpoint: ${visible(stopRequested)}.`;
  if (shown.paused !== undefined) return hasOpenRound(shown) ? `It was ${visible(shown.paused)}: no round begins after this one.` : `It was ${visible(shown.paused)}; other runs take their turn.`;
  const { value: current } = currentRun;
  if (waiting.value !== null && current === shown.runId) return `Waits: ${visible(waiting.value)}.`;
  if (phase === 'waiting_for_clients') return current === null || current === shown.runId ? 'Opens the policy and the held-out recordings.' : 'Waits for its turn.';
  const last = shown.rounds.at(-1);
  if (last === undefined || (last.round === 0 && serverWork !== undefined)) return work('Evaluates the initial model', serverWork);
  switch (last.phase) {
    case 'training': {
      const out = stillOut(last);
      const names = out.slice(0, 3).map((id) => visible(id)).join(', ');
      return `${last.accepted} of ${counted(last.wanted ?? last.asked, 'update')} in${out.length === 0 ? '' : `; waits for ${names}${out.length > 3 ? ` and ${out.length - 3} more` : ''}`}.`;
    }
    case 'aggregating':
      return `Combines ${counted(last.accepted, 'update')}.`;
    case 'evaluating':
      return work('Evaluates on held-out recordings', serverWork);
    case 'checkpointing':
      return 'Writes metrics and checkpoint.';
    default:
      return 'Chooses the clients of the next round.';
  }
}

function work(what: string, serverWork: RunView['serverWork']): string {
  return serverWork === undefined ? `${what}.` : `${what}: batch ${serverWork.step} of ${serverWork.totalSteps}.`;
}

function PauseButton({ run: { runId, paused, stopRequested } }: { readonly run: RunView }): JSX.Element {
  const isPaused = paused !== undefined;
  const change = (): void => {
    confirm({
      title: isPaused ? 'Resume the run?' : 'Pause the run?',
      text: isPaused ? <p>Run <code>{visible(runId)}</code> goes on with its next round.</p> : <p>Run <code>{visible(runId)}</code> finishes its open round and begins no other until it is resumed.</p>,
      does: isPaused ? 'Resume' : 'Pause',
      act: async () => {
        await ask('POST', `/page/act/${isPaused ? 'resume' : 'pause'}`, { run: runId });
        announce(isPaused ? 'The run goes on.' : 'The run pauses after its open round.');
      },
    });
  };
  return <button type="button" onClick={change} disabled={stopRequested !== undefined}>{isPaused ? 'Resume' : 'Pause'}</button>;
}

function StopButton({ run: shown }: { readonly run: RunView }): JSX.Element {
  const { runId } = shown;
  const stop = (): void => {
    confirm({
      title: 'Stop the run?',
      text: <p>Run <code>{visible(runId)}</code> ends. Finished rounds stay, and the newest one gets a checkpoint. What clients train at the moment is lost. A stopped run cannot go on.</p>,
      does: 'Stop the run',
      isGrave: true,
      act: async () => {
        await ask('POST', '/page/act/stop', { run: runId });
        announce('The run is being stopped.');
      },
    });
  };
  return <button type="button" class="grave" onClick={stop} disabled={shown.stopRequested !== undefined}>Stop the run</button>;
}
