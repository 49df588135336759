import { InvalidArgumentError, type Float32Tensor, type Parameters } from '@zk0/core';

/** Control variates of a client and of the server; `null` before the first round, when all are zero. */
export interface ControlVariates {
  /** c, which the server sends with the parameters (state tensors `control/…`). */
  readonly server: Parameters | null;
  /** c_k, which the client keeps from round to round. */
  readonly client: Parameters | null;
}

/**
 * SCAFFOLD (Karimireddy et al., 2020): what a client adds to every gradient, `c − c_k`, so that it steps by
 * `−lr·(g − c_k + c)`.
 */
export function scaffoldCorrection({ server, client }: ControlVariates, parameters: Parameters): Parameters {
  return mapTensors(parameters, (index, name) => at(server, name, index) - at(client, name, index));
}

/** What a client's training was. */
export interface ScaffoldTraining {
  /** w: the parameters it started from. */
  readonly global: Parameters;
  /** w_k: where it arrived. */
  readonly local: Parameters;
  /** K local steps… */
  readonly steps: number;
  /** …of this learning rate (the mean one, under a schedule). */
  readonly learningRate: number;
}

/**
 * The client's next control variate, `c_k⁺ = c_k − c + (w − w_k)/(K·lr)`, to be kept, and its change, to be sent as the update's
 * `control`.
 *
 * @throws InvalidArgumentError when the steps or the learning rate are not positive.
 */
export function scaffoldControl(
  { server, client }: ControlVariates,
  { global, local, steps, learningRate }: ScaffoldTraining,
): { readonly client: Parameters; readonly change: Parameters } {
  if (!(steps > 0 && learningRate > 0)) {
    throw new InvalidArgumentError(`SCAFFOLD needs positive steps and learning rate, got ${steps} and ${learningRate}`);
  }
  const next = mapTensors(
    global,
    (index, name, value) =>
      at(client, name, index) - at(server, name, index) + (value - at(local, name, index)) / (steps * learningRate),
  );
  return { client: next, change: mapTensors(next, (index, name, value) => value - at(client, name, index)) };
}

function mapTensors(parameters: Parameters, value: (index: number, name: string, old: number) => number): Parameters {
  return new Map(
    [...parameters].map(([name, { shape, data }]): [string, Float32Tensor] => [
      name,
      { shape, data: data.map((old, index) => value(index, name, old)) },
    ]),
  );
}

function at(parameters: Parameters | null, name: string, index: number): number {
  if (parameters === null) return 0;
  const value = parameters.get(name)?.data[index];
  if (value === undefined) throw new InvalidArgumentError(`tensor ${name} is missing or of another size`);
  return value;
}
