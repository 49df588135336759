import { InvalidArgumentError } from '@zk0/core';

/** Services that figures can be sent to. */
export const TRACKER_SERVICES = ['mlflow', 'trackio', 'wandb'] as const;
export type TrackerService = (typeof TRACKER_SERVICES)[number];

/** Where figures are sent. */
export interface TrackerAddress {
  readonly service: TrackerService;
  /** Of the service, without a slash at the end. */
  readonly url: string;
  /** MLflow's experiment; the project elsewhere. */
  readonly project: string;
  /** User or team at Weights & Biases; that of the key when absent. */
  readonly entity?: string;
  /** As it was written, without secrets. */
  readonly text: string;
}

const DEFAULT_PROJECT = 'zk0';
const WANDB_URL = 'https://api.wandb.ai';
const FORMS = 'Write mlflow:http://HOST:5000, trackio:http://HOST:7860 or wandb:ENTITY/PROJECT; ?project=NAME names the project of the first two.';

/**
 * Reads an address: `mlflow:http://host:5000`, `trackio:https://host`, both with `?project=name` (MLflow: the experiment; default `zk0`),
 * or `wandb:project` and `wandb:entity/project` (at `WANDB_BASE_URL`, else at the company's own service).
 *
 * @param environment - looked at for `WANDB_BASE_URL` and `WANDB_API_KEY`
 * @throws InvalidArgumentError for anything else, for secrets in the address, and for `wandb` without its key
 */
export function parseTracker(text: string, environment: Readonly<Record<string, string | undefined>> = process.env): TrackerAddress {
  const colon = text.indexOf(':');
  const service = TRACKER_SERVICES.find((name) => name === text.slice(0, Math.max(0, colon)));
  const rest = text.slice(colon + 1);
  // The rest may hold a secret that somebody put there: it is not repeated.
  if (service === undefined) throw new InvalidArgumentError('the tracker is not understood', { hint: FORMS });
  if (service === 'wandb') return wandbAddress(rest, environment);
  if (!URL.canParse(rest) || !/^https?:$/.test(new URL(rest).protocol)) throw new InvalidArgumentError(`the address of the ${service} tracker is no http or https URL`, { hint: FORMS });
  const url = new URL(rest);
  if (url.username !== '' || url.password !== '' || url.searchParams.has('write_token')) {
    const variables = service === 'mlflow' ? 'MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN' : 'TRACKIO_WRITE_TOKEN';
    throw new InvalidArgumentError(`the address of the ${service} tracker holds a secret`, { hint: `Put it into the environment or .env: ${variables}.` });
  }
  const project = url.searchParams.get('project') ?? DEFAULT_PROJECT;
  const unknown = [...url.searchParams.keys()].find((key) => key !== 'project');
  if (unknown !== undefined || url.hash !== '' || project === '') {
    throw new InvalidArgumentError(`the address of the ${service} tracker has parts that are not known`, { hint: FORMS });
  }
  const base = `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
  return { service, url: base, project, text: `${service}:${base}?project=${encodeURIComponent(project)}` };
}

function wandbAddress(rest: string, environment: Readonly<Record<string, string | undefined>>): TrackerAddress {
  const parts = rest.split('/');
  if (parts.length > 2 || parts.some((part) => !/^[\w.-]{1,128}$/.test(part))) throw new InvalidArgumentError('the wandb tracker is not understood', { hint: FORMS });
  if ((environment['WANDB_API_KEY'] ?? '') === '') throw new InvalidArgumentError('Weights & Biases needs WANDB_API_KEY', { hint: 'Put it into the environment or .env.' });
  const [project, entity] = parts.toReversed() as [string, string | undefined];
  const url = (environment['WANDB_BASE_URL'] ?? WANDB_URL).replace(/\/+$/, '');
  return { service: 'wandb', url, project, ...(entity !== undefined && { entity }), text: `wandb:${rest}` };
}
