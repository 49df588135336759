import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseDuration, table } from '@zk0/cli';
import { Zk0Error } from '@zk0/core';
import { silentLog } from '@zk0/federation';
import { openNodeRegistry, openSharedRegistry, type NodeInfo, type NodeRegistry, type TokenInfo } from '@zk0/transport';
import { Command } from 'commander';
import { openSharedNodes } from '../state/open-state.ts';
import { makeWritable, STATE_FOLDER, stateFiles } from '../state-files.ts';
import type { Run } from './run-action.ts';

const OUT = ['--out <dir>', 'outputs folder of the server', 'outputs'] as const;
const BACKEND = ['--backend <address>', 'the NATS servers that servers share, where they do: nats://HOST:PORT/FEDERATION'] as const;

/** Where a registry is. */
interface Place {
  readonly out: string;
  readonly backend?: string;
}

/** `zk0-server token`: what lets a node enrol. Works on the server's machine, whether the server runs or not. */
export function tokenCommand(run: Run): Command {
  const command = new Command('token').description('Tokens with which nodes enrol. Works on the server’s machine, whether the server runs or not.');
  command
    .command('create')
    .description('Make a token and print it once. Give it to the node’s owner over a channel that you trust.')
    .option('--uses <n>', 'nodes that may enrol with it', Number, 1)
    .option('--expires <duration>', 'how long it is good for: 30m, 12h, 7d', '7d')
    .option('--approve', 'nodes that enrol with it wait for your approval (zk0-server node approve)')
    .option('--note <text>', 'for you to read', '')
    .option(...OUT)
    .option(...BACKEND)
    .action((options: { uses: number; expires: string; approve?: boolean; note: string; out: string; backend?: string }) => {
      run(() =>
        withRegistry(options, async (registry) => {
          const { uses, note } = options;
          const expiresInMs = parseDuration('--expires', options.expires);
          const { token, info } = await registry.createToken({ uses, expiresInMs, note, needsApproval: options.approve === true });
          process.stdout.write(`${token}\n`);
          process.stderr.write(`token ${info.id}: ${uses === 1 ? 'one node' : `${uses} nodes`} may enrol until ${local(info.expiresAt)}; it is shown this once\n`);
        }),
      );
    });
  command
    .command('list')
    .description('Show the tokens; what they are is kept nowhere.')
    .option('--json', 'for scripts')
    .option(...OUT)
    .option(...BACKEND)
    .action((options: { json?: boolean; out: string; backend?: string }) => {
      run(() =>
        withRegistry(options, async (registry) => {
          const tokens = await registry.listTokens();
          process.stdout.write(options.json === true ? `${JSON.stringify(tokens, null, 2)}\n` : `${describeTokens(tokens)}\n`);
        }),
      );
    });
  command
    .command('revoke')
    .description('Let nobody enrol with a token any more; nodes that did stay (see zk0-server node revoke).')
    .argument('<id>', 'as zk0-server token list shows it')
    .option(...OUT)
    .option(...BACKEND)
    .action((id: string, options: { out: string; backend?: string }) => {
      run(() =>
        withRegistry(options, async (registry) => {
          const { used } = await registry.revokeToken(id);
          process.stdout.write(`token ${id} is revoked; ${used} nodes enrolled with it\n`);
        }),
      );
    });
  return command;
}

/** `zk0-server node`: the nodes that have enrolled. */
export function nodeCommand(run: Run): Command {
  const command = new Command('node').description('The nodes that have enrolled: list, approve, revoke.');
  command
    .command('list')
    .description('Show who has enrolled, by client id and the fingerprint of the key.')
    .option('--json', 'for scripts')
    .option(...OUT)
    .option(...BACKEND)
    .action((options: { json?: boolean; out: string; backend?: string }) => {
      run(() =>
        withRegistry(options, async (registry) => {
          const nodes = await registry.listNodes();
          process.stdout.write(options.json === true ? `${JSON.stringify(nodes, null, 2)}\n` : `${describeNodes(nodes)}\n`);
        }),
      );
    });
  const change = (name: 'approve' | 'revoke', description: string, apply: (registry: NodeRegistry, node: string) => Promise<NodeInfo>): void => {
    command
      .command(name)
      .description(description)
      .argument('<node>', 'client id or fingerprint')
      .option(...OUT)
      .option(...BACKEND)
      .action((node: string, options: { out: string; backend?: string }) => {
        run(() =>
          withRegistry(options, async (registry) => {
            const { clientId, fingerprint, state } = await apply(registry, node);
            process.stdout.write(`node ${clientId} (${fingerprint}) is ${state}\n`);
          }),
        );
      });
  };
  change('approve', 'Let a node take part that waits for it.', (registry, node) => registry.approveNode(node));
  change('revoke', 'Refuse a node from now on, also while the server runs; it may enrol again with a new key and token.', (registry, node) => registry.revokeNode(node));
  return command;
}

async function withRegistry({ out, backend }: Place, work: (registry: NodeRegistry) => Promise<void>): Promise<undefined> {
  if (backend !== undefined) {
    const stores = await openSharedNodes(backend, silentLog);
    try {
      await work(await openSharedRegistry(stores.nodes));
    } finally {
      await stores.close();
    }
    return undefined;
  }
  const stateDirectory = join(out, STATE_FOLDER);
  if (!existsSync(out)) {
    throw new Zk0Error('OUTPUT_UNKNOWN', `${out}: no server has used this folder`, { hint: 'Name the folder that the server was started with (--out), or start it once.' });
  }
  makeWritable(stateDirectory);
  const registry = openNodeRegistry(stateFiles(stateDirectory).nodes);
  try {
    await work(registry);
  } finally {
    await registry.close();
  }
  return undefined;
}

function describeTokens(tokens: readonly TokenInfo[]): string {
  if (tokens.length === 0) return 'no token has been made; make one with: zk0-server token create';
  const state = ({ revokedAt, expiresAt, used, uses }: TokenInfo): string => {
    if (revokedAt !== null) return 'revoked';
    if (used >= uses) return 'used up';
    return expiresAt.getTime() <= Date.now() ? 'expired' : 'open';
  };
  return table(
    ['token', 'state', 'used', 'expires', 'approval', 'note'].map((header) => ({ header })),
    tokens.map((token) => [token.id, state(token), `${token.used}/${token.uses}`, local(token.expiresAt), token.needsApproval ? 'needed' : '', token.note]),
  );
}

function describeNodes(nodes: readonly NodeInfo[]): string {
  if (nodes.length === 0) return 'no node has enrolled; let one in with: zk0-server token create';
  return table(
    ['node', 'state', 'dataset', 'fingerprint', 'enrolled', 'last seen'].map((header) => ({ header })),
    nodes.map((node) => [node.clientId, node.state, node.dataset, node.fingerprint, local(node.enrolledAt), node.lastSeenAt === null ? '' : local(node.lastSeenAt)]),
  );
}

function local(date: Date): string {
  return date.toLocaleString('sv-SE').slice(0, 16);
}
