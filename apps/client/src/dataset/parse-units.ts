import { InvalidArgumentError } from '@zk0/core';
import { UNIT_CONVENTIONS, type UnitConvention } from '@zk0/dataset-so100';

/** Reads `--units`. @throws InvalidArgumentError listing the conventions */
export function parseUnits(text: string | undefined): UnitConvention | undefined {
  const found = UNIT_CONVENTIONS.find((convention) => convention === text);
  if (text === undefined || found !== undefined) return found;
  throw new InvalidArgumentError(`--units ${text} is not known`, { hint: `Choose from ${UNIT_CONVENTIONS.join(', ')}.` });
}
