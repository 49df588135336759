import type { JSX } from 'preact';
import { forget } from '../connection.ts';
import { formatBytes, formatTime, visible } from '../format.ts';
import { ask } from '../server.ts';
import { canLogOut, chooseRun, chosenRun, currentRun, hasView, link, liveRunId, memoryBytes, runs, view } from '../state.ts';
import { askForRun } from './new-run.tsx';

/** What stays in view: whose page it is, which run, whether it is live. */
export function Header(): JSX.Element {
  return (
    <header>
      <h1>zk0</h1>
      <RunChoice />
      <LinkState />
      <div class="header-tools">
        {hasView.value && <button type="button" class="primary" onClick={askForRun}>New run</button>}
        {canLogOut.value && <button type="button" onClick={logOut}>Log out</button>}
      </div>
    </header>
  );
}

function RunChoice(): JSX.Element | null {
  if (!hasView.value) return null;
  const newestFirst = [...runs.value.values()].reverse();
  const choose = (event: Event): void => {
    const { value: chosen } = event.currentTarget as HTMLSelectElement;
    chooseRun(chosen === '' ? null : chosen);
  };
  return (
    <label class="run-choice">
      <span class="quiet">Run</span>
      <select value={chosenRun.value ?? ''} onChange={choose}>
        <option value="">{currentRun.value === null ? 'newest' : 'current'}{liveRunId.value === null ? '' : `: ${visible(liveRunId.value)}`}</option>
        {newestFirst.map(({ runId, phase, paused }) => (
          <option key={runId} value={runId}>{visible(runId)} ({paused !== null ? 'paused' : phase === 'waiting_for_clients' ? 'waiting' : phase})</option>
        ))}
      </select>
    </label>
  );
}

function LinkState(): JSX.Element {
  const { value: state } = link;
  if (state.state === 'lost') {
    return (
      <p class="link lost" role="alert">
        <span class="dot" aria-hidden="true" /> {state.reason ?? 'Not connected'}; trying again.{!hasView.value ? '' : ` What you see is from ${formatTime(state.since)}.`}
      </p>
    );
  }
  if (state.state !== 'live' || !hasView.value) return <p class="link" role="status">Connecting …</p>;
  return (
    <p class="link live">
      <span class="dot" aria-hidden="true" /> Live <span class="quiet">· server memory {formatBytes(memoryBytes.value)}</span>
    </p>
  );
}

function logOut(): void {
  void ask('DELETE', '/page/session').finally(() => {
    canLogOut.value = false;
    view.value = null;
    forget();
    link.value = { state: 'login' };
  });
}
