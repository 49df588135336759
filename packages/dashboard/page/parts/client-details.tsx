import type { JSX } from 'preact';
import type { RunView } from '../../src/model/view.ts';
import { counted, formatTime, memoryInWords, sentence, visible } from '../format.ts';
import { ask } from '../server.ts';
import { markedClient, run, view } from '../state.ts';
import { announce, confirm } from './dialogs.tsx';

/** The client that is marked, in words: also what its line in the list has no room for. */
export function ClientDetails(): JSX.Element | null {
  const { value: clientId } = markedClient;
  if (clientId === null) return null;
  const client = view.value?.clients.get(clientId);
  const tally = run.value?.tallies.get(clientId);
  const refusal = run.value?.rounds.findLast(({ participants }) => participants?.get(clientId)?.reason !== undefined);
  const reason = refusal?.participants?.get(clientId)?.reason;
  return (
    <section class="details" aria-labelledby="details-title">
      <h3 id="details-title"><bdi>{visible(clientId)}</bdi></h3>
      {client === undefined ? (
        <p>It is not there any more.</p>
      ) : (
        <p>
          <bdi>{visible(client.name)}</bdi>, <bdi>{visible(client.agent)}</bdi>, {counted(client.examples, 'frame')} of <bdi>{visible(client.dataset)}</bdi>. Last seen {formatTime(client.lastSeen)}.
        </p>
      )}
      {client?.memory !== undefined && <p>Memory: <bdi>{memoryInWords(client.memory)}</bdi></p>}
      {client?.misfit !== undefined && <p class="failure">It gets no work: <bdi>{visible(client.misfit)}</bdi></p>}
      {tally !== undefined && <p>{counted(tally.rounds, 'update')} of this run came from it{tally.refused > 0 ? `; ${tally.refused} more ${tally.refused === 1 ? 'was' : 'were'} refused` : ''}.</p>}
      {reason !== undefined && <p>Round {refusal!.round}: <bdi>{sentence(reason)}</bdi></p>}
      <p class="buttons"><PartButton clientId={clientId} /><button type="button" onClick={() => (markedClient.value = null)}>Unmark</button></p>
    </section>
  );
}

/** Excludes the client from the run that is shown, or lets it take part again. */
function PartButton({ clientId }: { readonly clientId: string }): JSX.Element | null {
  const { value: shown } = run;
  if (shown === null || (shown.phase !== 'running' && shown.phase !== 'waiting_for_clients')) return null;
  return shown.barred.has(clientId) ? (
    <button type="button" onClick={() => { askForPart(shown, clientId, false); }}>Readmit to the run</button>
  ) : (
    <button type="button" class="grave" onClick={() => { askForPart(shown, clientId, true); }}>Exclude from the run</button>
  );
}

function askForPart({ runId }: RunView, clientId: string, excludes: boolean): void {
  const who = <bdi>{visible(clientId)}</bdi>;
  confirm({
    title: excludes ? 'Exclude the client?' : 'Readmit the client?',
    text: excludes ? <p>{who} gets no more work in run <code>{visible(runId)}</code>, and what it sends in the open round does not count. Finished rounds stay.</p> : <p>{who} may take part again, from the next round on.</p>,
    does: excludes ? 'Exclude' : 'Readmit',
    isGrave: excludes,
    act: async () => {
      await ask('POST', `/page/act/${excludes ? 'exclude' : 'readmit'}`, { run: runId, client: clientId });
      announce(excludes ? 'The client is excluded.' : 'The client may take part again.');
    },
  });
}
