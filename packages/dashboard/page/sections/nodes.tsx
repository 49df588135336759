import type { JSX } from 'preact';
import type { NodeView } from '../../src/model/view.ts';
import { formatAgo, formatTime, visible } from '../format.ts';
import { Card, Empty } from '../parts/card.tsx';
import { announce, confirm } from '../parts/dialogs.tsx';
import { ask } from '../server.ts';
import { nodes, now } from '../state.ts';

/** Who may take part. */
export function Nodes(): JSX.Element | null {
  const { value: enrolled } = nodes;
  if (enrolled === null) return null;
  const pending = enrolled.filter(({ state }) => state === 'pending').length;
  const order = [...enrolled].sort((a, b) => rank(a) - rank(b) || b.enrolledAt - a.enrolledAt);
  return (
    <Card id="nodes" title={pending === 0 ? 'Nodes' : `Nodes: ${pending} to approve`}>
      {order.length === 0 ? (
        <Empty>No node has enrolled. Make a token on the server’s machine with <code>zk0-server token create</code>.</Empty>
      ) : (
        <div class="scroll tall" tabIndex={0} role="region" aria-label="Table of nodes">
          <table>
            <thead>
              <tr><th scope="col">Node</th><th scope="col">State</th><th scope="col">Dataset</th><th scope="col">Fingerprint</th><th scope="col">Enrolled</th><th scope="col">Last seen</th><th scope="col">Actions</th></tr>
            </thead>
            <tbody>{order.map((node) => <NodeRow key={node.fingerprint} node={node} />)}</tbody>
          </table>
        </div>
      )}
    </Card>
  );
}

function NodeRow({ node }: { readonly node: NodeView }): JSX.Element {
  const { clientId, state, dataset, fingerprint, enrolledAt, lastSeenAt } = node;
  return (
    <tr>
      <th scope="row"><bdi>{visible(clientId)}</bdi></th>
      <td><span class={`badge ${state}`}>{state}</span></td>
      <td><bdi>{visible(dataset)}</bdi></td>
      <td class="path"><code>{fingerprint}</code></td>
      <td>{formatTime(enrolledAt)}</td>
      <td>{lastSeenAt === null ? '–' : formatAgo(lastSeenAt, now.value)}</td>
      <td class="buttons">
        {state === 'pending' && <button type="button" class="primary" aria-label={`Approve ${visible(clientId)}`} onClick={() => { approve(node); }}>Approve</button>}
        {state !== 'revoked' && <button type="button" class="grave" aria-label={`Revoke ${visible(clientId)}`} onClick={() => { revoke(node); }}>Revoke</button>}
      </td>
    </tr>
  );
}

function approve({ clientId, fingerprint }: NodeView): void {
  confirm({
    title: 'Approve the node?',
    text: <p>Compare the fingerprint with what the node’s owner sees: <code class="whole">{fingerprint}</code>. Node <b>{visible(clientId)}</b> may take part from then on.</p>,
    does: 'Approve',
    act: async () => {
      await ask('POST', '/page/act/approve', { node: fingerprint });
      announce(`Node ${visible(clientId)} is approved.`);
    },
  });
}

function revoke({ clientId, fingerprint }: NodeView): void {
  confirm({
    title: 'Revoke the node?',
    text: <p>Requests of <b>{visible(clientId)}</b> are refused from the next one on. A revoked key never comes back: the node has to enrol again, with a new key and a new token.</p>,
    does: 'Revoke',
    isGrave: true,
    act: async () => {
      await ask('POST', '/page/act/revoke', { node: fingerprint });
      announce(`Node ${visible(clientId)} is revoked.`);
    },
  });
}

function rank({ state }: NodeView): number {
  return state === 'pending' ? 0 : state === 'approved' ? 1 : 2;
}
