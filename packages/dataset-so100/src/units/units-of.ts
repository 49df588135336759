import type { JointConvention } from '@zk0/core';
import type { DatasetInfo } from '../format/info.ts';
import type { DatasetRows } from '../read/rows.ts';
import { inferUnits, statedUnits, type UnitConvention, type UnitInference } from './infer-units.ts';

/** The units of a dataset's state and action. */
export interface DatasetUnits {
  readonly joints: { readonly state: readonly JointConvention[]; readonly action: readonly JointConvention[] };
  readonly why: { readonly state: string; readonly action: string };
}

/**
 * Infers the units of a dataset, or takes those that were stated. An action whose values say nothing is of the units of the state
 * where both have the same joints: one recorder writes both.
 */
export function unitsOf(info: DatasetInfo, rows: Pick<DatasetRows, 'state' | 'action'>, stated: UnitConvention | undefined): DatasetUnits {
  const infer = (values: Float32Array, names: readonly string[]): UnitInference => {
    const hints = { robotType: info.robotType, names, version: info.version };
    return stated === undefined ? inferUnits(values, hints) : statedUnits(stated, values, hints);
  };
  const state = infer(rows.state, info.state.names);
  const action = infer(rows.action, info.action.names);
  const [sureState, sureAction] = [sureness(state), sureness(action)];
  const isOne = info.state.names.join() === info.action.names.join();
  if (isOne && sureState > sureAction + 0.05) return { joints: { state: state.joints, action: borrowed(action, state) }, why: { state: state.why, action: `as the state: ${state.why}` } };
  if (isOne && sureAction > sureState + 0.05) return { joints: { state: borrowed(state, action), action: action.joints }, why: { state: `as the action: ${action.why}`, action: action.why } };
  return { joints: { state: state.joints, action: action.joints }, why: { state: state.why, action: action.why } };
}

function sureness({ joints }: UnitInference): number {
  return Math.min(...joints.map(({ confidence }) => confidence));
}

function borrowed(own: UnitInference, other: UnitInference): readonly JointConvention[] {
  return own.joints.map((joint, i) => {
    const { unit, confidence } = other.joints[i]!;
    return joint.unit === unit && joint.degreesPerUnit !== undefined ? { ...joint, confidence } : { unit, confidence };
  });
}
