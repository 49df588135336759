import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { programName, readTls, runningProcess, withTlsOptions } from '@zk0/cli';
import { Zk0Error } from '@zk0/core';
import { adminClient, type AdminClient, type ClientTls } from '@zk0/transport';
import type { Command } from 'commander';
import { STATE_FOLDER, stateFiles } from '../state-files.ts';

const DEFAULT_SERVER = 'http://127.0.0.1:9092';

/** Adds what every command has that speaks to a running server. */
export function withServerOptions(command: Command): Command {
  return withTlsOptions(
    command
      .option('--server <url>', `the server (default: the one that runs with --out on this machine, else ${DEFAULT_SERVER})`)
      .option('--out <dir>', 'outputs folder of a server on this machine, where its operators’ token is (else ZK0_ADMIN_TOKEN)', 'outputs'),
  );
}

/** Does something with a running server, and closes the line to it. */
export async function withAdmin<T>(options: Readonly<Record<string, unknown>>, work: (admin: AdminClient) => Promise<T>): Promise<T> {
  const admin = connectAdmin(options);
  try {
    return await work(admin);
  } catch (error) {
    if (error instanceof Zk0Error && error.code === 'CONNECTION_REFUSED' && options['server'] === undefined) {
      throw new Zk0Error('CONNECTION_REFUSED', `no server runs at ${serverUrl(options)}`, {
        cause: error,
        hint: `Start one with ${programName('zk0-server')} start --detach, or name another with --server.`,
      });
    }
    if (error instanceof Zk0Error && error.code === 'UNAUTHORIZED') {
      throw new Zk0Error('UNAUTHORIZED', error.message, {
        cause: error,
        hint: `Set ZK0_ADMIN_TOKEN to the operators' token, or name the server's outputs folder with --out; the token is in its ${STATE_FOLDER}/operator.token.`,
      });
    }
    throw error;
  } finally {
    await admin.close();
  }
}

/** The server that a command speaks to. */
function serverUrl(options: Readonly<Record<string, unknown>>): string {
  if (typeof options['server'] === 'string') return options['server'];
  const url = runningProcess(stateDirectory(options))?.['url'];
  return typeof url === 'string' ? url : DEFAULT_SERVER;
}

function stateDirectory(options: Readonly<Record<string, unknown>>): string {
  return join(String(options['out']), STATE_FOLDER);
}

function connectAdmin(options: Readonly<Record<string, unknown>>): AdminClient {
  const token = process.env['ZK0_ADMIN_TOKEN'] ?? keptToken(stateDirectory(options));
  const tls = adminTls(options);
  return adminClient({
    url: serverUrl(options),
    ...(token === undefined ? {} : { token }),
    ...(tls === undefined ? {} : { tls }),
    ...(options['insecure'] === true && { allowInsecure: true }),
  });
}

/** A server of this machine is known by the certificate that it was started with, which has another name than this machine's loopback. */
function adminTls(options: Readonly<Record<string, unknown>>): ClientTls | undefined {
  const given = readTls(options);
  const fingerprint = typeof options['server'] === 'string' ? undefined : runningProcess(stateDirectory(options))?.['certificate'];
  return typeof fingerprint === 'string' && given?.ca === undefined ? { ...given, fingerprint } : given;
}

/** The token that a server on this machine made for its operators, if whoever asks may read it. */
function keptToken(directory: string): string | undefined {
  try {
    return readFileSync(stateFiles(directory).operatorToken, 'utf8').trim();
  } catch {
    return undefined;
  }
}
