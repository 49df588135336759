import * as z from 'zod';
import { strategyConfigSchema, type StrategyConfig } from './config.ts';
import { createStrategy } from './create-strategy.ts';

/** An option of a strategy, for people. */
export interface StrategyOption {
  readonly name: string;
  /** What it takes, e.g. `number, 0 ≤ x < 0.5`. */
  readonly takes: string;
  /** The value when it is not given; `undefined` where there is none. */
  readonly default?: unknown;
  /** It has to be given. */
  readonly required: boolean;
}

/** A strategy, for people. */
export interface StrategyDescription {
  readonly name: StrategyConfig['name'];
  readonly about: string;
  /** Whether the sum of the updates is all that it needs of them, unless an option says otherwise. */
  readonly needsSumOnly: boolean;
  /** Its own options. */
  readonly options: readonly StrategyOption[];
}

const ABOUT: Readonly<Record<StrategyConfig['name'], string>> = {
  fedavg: 'mean of the updates, weighted by examples',
  fedprox: 'FedAvg; clients are held near the global parameters by a penalty μ/2·‖w − w₀‖²',
  'fault-tolerant-fedavg': 'FedAvg that counts a round only when enough clients have answered',
  fedmedian: 'median of each parameter',
  fedtrimmedavg: 'mean of each parameter without the share β of values at either end',
  meamed: 'mean of the values that are nearest to the median of each parameter',
  krum: 'the one update that is nearest to its neighbours',
  multikrum: 'mean of several such updates',
  bulyan: 'Krum, then the mean around the median of each parameter',
  qfedavg: 'clients with a higher loss count more',
  scaffold: 'control variates correct each client’s drift',
  fedbuff: 'a buffer of updates, late ones among them',
  fedavgm: 'FedAvg with momentum on the server',
  fedmom: 'Nesterov’s momentum on the server',
  diloco: 'Nesterov’s momentum on the server, for many local steps',
  fedadagrad: 'Adagrad on the server',
  fedadam: 'Adam on the server',
  fedyogi: 'Yogi on the server',
  'dp-fixed': 'differential privacy: updates clipped to a fixed norm, noise on their mean',
  'dp-adaptive': 'differential privacy; the clipping norm follows a quantile of the updates’ norms',
};

/** Options that every strategy has. */
const COMMON: ReadonlySet<string> = new Set(['guards', 'minCompletionRate', 'schedule']);

type Property = Readonly<Record<string, unknown>>;

/** Every strategy with its options, as the schema that checks them says. */
export function describeStrategies(): readonly StrategyDescription[] {
  return strategyConfigSchema.options.map((option) => {
    const name = option.shape.name.value;
    const own = optionsOf(option).filter((one) => !COMMON.has(one.name) || (name === 'fault-tolerant-fedavg' && one.name === 'minCompletionRate'));
    const required = Object.fromEntries(own.filter((one) => one.required).map((one) => [one.name, 1]));
    return { name, about: ABOUT[name], needsSumOnly: createStrategy({ name, ...required }).needsSumOnly, options: own };
  });
}

/** The options that every strategy has at its outermost level. */
export function commonStrategyOptions(): readonly StrategyOption[] {
  return optionsOf(strategyConfigSchema.options[0]).filter(({ name }) => COMMON.has(name));
}

function optionsOf(option: z.core.$ZodType): readonly StrategyOption[] {
  const { properties = {}, required = [] } = z.toJSONSchema(option, { io: 'input' }) as { readonly properties?: Readonly<Record<string, Property>>; readonly required?: readonly string[] };
  return Object.entries(properties)
    .filter(([name]) => name !== 'name')
    .map(([name, property]) => ({
      name,
      takes: takes(property),
      ...('default' in property && { default: property['default'] }),
      required: required.includes(name),
    }));
}

function takes(property: Property): string {
  const { type, properties } = property;
  const bound = (name: string): number | undefined => (typeof property[name] === 'number' ? property[name] : undefined);
  const [minimum, exclusiveMinimum, maximum, exclusiveMaximum] = ['minimum', 'exclusiveMinimum', 'maximum', 'exclusiveMaximum'].map(bound);
  if (typeof properties === 'object' && properties !== null) return `{ ${Object.keys(properties).join(', ')} }`;
  if (type === 'number' || type === 'integer') {
    const low = exclusiveMinimum !== undefined ? `${exclusiveMinimum} < x` : minimum !== undefined && minimum !== Number.MIN_SAFE_INTEGER ? `${minimum} ≤ x` : '';
    const high = exclusiveMaximum !== undefined ? `x < ${exclusiveMaximum}` : maximum !== undefined && maximum !== Number.MAX_SAFE_INTEGER ? `x ≤ ${maximum}` : '';
    const range = low !== '' && high !== '' ? `${low}${high.slice(1)}` : low + high;
    return `${type === 'integer' ? 'whole number' : 'number'}${range === '' ? '' : `, ${range}`}`;
  }
  const alternatives = property['anyOf'] ?? property['oneOf'];
  if (Array.isArray(alternatives)) {
    const names = (alternatives as Property[]).flatMap((one) => nameOf(one));
    return names.length > 0 ? `{ name: ${names.join(' | ')}, … }` : (alternatives as Property[]).map((one) => ('const' in one ? String(one['const']) : takes(one))).join(' or ');
  }
  return typeof type === 'string' ? type : 'a value';
}

/** The strategies that stand in a place where there may be one. */
function nameOf(property: Property): string[] {
  const alternatives = property['anyOf'] ?? property['oneOf'];
  if (Array.isArray(alternatives)) return (alternatives as Property[]).flatMap((one) => nameOf(one));
  const name = (property['properties'] as Readonly<Record<string, Property>> | undefined)?.['name']?.['const'];
  return typeof name === 'string' ? [name] : [];
}
