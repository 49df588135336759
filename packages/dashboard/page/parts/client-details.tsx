import type { JSX } from 'preact';
import { counted, formatTime, sentence, visible } from '../format.ts';
import { markedClient, run, view } from '../state.ts';

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
      {client?.misfit !== undefined && <p class="failure">It gets no work: <bdi>{visible(client.misfit)}</bdi></p>}
      {tally !== undefined && <p>{counted(tally.rounds, 'update')} of this run came from it{tally.refused > 0 ? `; ${tally.refused} more ${tally.refused === 1 ? 'was' : 'were'} refused` : ''}.</p>}
      {reason !== undefined && <p>Round {refusal!.round}: <bdi>{sentence(reason)}</bdi></p>}
      <p><button type="button" onClick={() => (markedClient.value = null)}>Unmark</button></p>
    </section>
  );
}
