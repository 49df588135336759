import { join } from 'node:path';

/** Longest folder name made from a client's id; ids are the clients' own words. */
const MAX_ID_CHARS = 80;

/** Where each file of a run is. Every path is absolute if `directory` is. */
export class RunPaths {
  readonly directory: string;
  /** Folder names given out, so that two ids never share one. */
  private readonly folders = new Map<string, string>();

  constructor(directory: string) {
    this.directory = directory;
  }

  get simulationLog(): string {
    return join(this.directory, 'simulation.log');
  }
  get config(): string {
    return join(this.directory, 'config.json');
  }
  get metrics(): string {
    return join(this.directory, 'metrics.jsonl');
  }
  get server(): string {
    return join(this.directory, 'server');
  }
  get serverLog(): string {
    return join(this.server, 'server.log');
  }
  get federatedMetrics(): string {
    return join(this.server, 'federated_metrics.json');
  }
  get federatedMetricsChart(): string {
    return join(this.server, 'federated_metrics.png');
  }
  get lossHistory(): string {
    return join(this.server, 'eval_policy_loss_history.json');
  }
  get lossChart(): string {
    return join(this.server, 'eval_policy_loss_chart.png');
  }
  get successHistory(): string {
    return join(this.server, 'success_history.json');
  }
  get successChart(): string {
    return join(this.server, 'success_chart.png');
  }
  /** What the programs say that try checkpoints. */
  get rolloutLogs(): string {
    return join(this.server, 'rollouts');
  }
  /** Folder of filmed trials of a checkpoint, by the name of its folder. */
  clips(checkpoint: string): string {
    return join(this.directory, 'clips', checkpoint);
  }
  /** Folder of TensorBoard event files. */
  get tensorboard(): string {
    return join(this.directory, 'tensorboard');
  }
  serverEvaluation(round: number): string {
    return join(this.server, `round_${round}_server_eval.json`);
  }
  checkpoint(round: number): string {
    return join(this.directory, 'models', `checkpoint_round_${round}`);
  }
  /** The checkpoint of the round with the lowest held-out loss so far. */
  get bestCheckpoint(): string {
    return join(this.directory, 'models', 'checkpoint_best');
  }
  clientLog(clientId: string): string {
    return join(this.client(clientId), 'client.log');
  }
  clientRound(clientId: string, round: number): string {
    return join(this.client(clientId), `round_${round}.json`);
  }

  /** The folder of a client, `clients/client_<id>`: the same for the same id, never shared, never outside. */
  client(clientId: string): string {
    let folder = this.folders.get(clientId);
    if (folder === undefined) {
      const taken = new Set(this.folders.values());
      const base = folderName(clientId);
      folder = base;
      for (let count = 2; taken.has(folder); count++) folder = `${base}~${count}`;
      this.folders.set(clientId, folder);
    }
    return join(this.directory, 'clients', folder);
  }
}

function folderName(clientId: string): string {
  // Case is folded because some file systems do: `A` and `a` must not meet there.
  const safe = clientId.toLowerCase().replace(/[^a-z0-9._-]/g, '_').slice(0, MAX_ID_CHARS);
  return safe.startsWith('client_') ? safe : `client_${safe}`;
}
