/** The joints of an SO-100/SO-101 arm from the base outwards, as LeRobot orders them. */
export const SO_JOINTS = ['shoulder_pan', 'shoulder_lift', 'elbow_flex', 'wrist_flex', 'wrist_roll', 'gripper'] as const;
export type SoJoint = (typeof SO_JOINTS)[number];

/** Other names of the same joints: of the first URDF and its simulators, and of motors by number. */
const OTHER_NAMES: Readonly<Record<string, SoJoint>> = {
  rotation: 'shoulder_pan',
  base: 'shoulder_pan',
  base_rotation: 'shoulder_pan',
  shoulder_rotation: 'shoulder_pan',
  pitch: 'shoulder_lift',
  shoulder_pitch: 'shoulder_lift',
  shoulder: 'shoulder_lift',
  elbow: 'elbow_flex',
  elbow_pitch: 'elbow_flex',
  wrist_pitch: 'wrist_flex',
  wrist: 'wrist_flex',
  jaw: 'gripper',
};

/** A joint under the name that all recorders' names for it come to. */
export interface JointName {
  /** `left`, `right`, `arm1`, …; empty for the only arm. */
  readonly arm: string;
  /** One of {@link SO_JOINTS}, or the recorder's name without case and decoration. */
  readonly joint: string;
}

/**
 * Brings a joint's name to one form: without `main_`, `.pos` and case, `left_` and `right_` as the arm, SO-100/SO-101 joints under
 * LeRobot's names.
 */
export function parseJointName(name: string): JointName {
  const plain = name
    .toLowerCase()
    .replace(/^observation\.state\.|^action\.|^state\.|^actions\./, '')
    .replace(/[\s-]+/g, '_')
    .replace(/(?:[._](?:pos|position|joint|angle|qpos|deg|degrees|rad))+$/, '')
    .replace(/^(?:main|follower|leader)[._]/, '');
  const match = /^(left|right|arm_?\d)[._](.+)$/.exec(plain);
  const arm = match === null ? '' : match[1]!.replace('_', '');
  const own = (match?.[2] ?? plain).replace(/^(?:main|arm|follower|leader)[._]/, '');
  if ((SO_JOINTS as readonly string[]).includes(own)) return { arm, joint: own };
  const other = Object.hasOwn(OTHER_NAMES, own) ? OTHER_NAMES[own] : undefined;
  if (other !== undefined) return { arm, joint: other };
  const number = /^(?:joint|j|motor|servo|m)?_?(\d{1,2})$/.exec(own)?.[1];
  return { arm, joint: number === undefined ? own : `#${Number(number)}` };
}

/**
 * The names of a vector's joints, each once. Joints by number become those of an SO arm where an arm has six of them; vectors whose
 * names say nothing are in LeRobot's order where they have six values.
 */
export function canonicalNames(names: readonly string[], robotType: string): readonly string[] {
  const parsed = names.map(parseJointName);
  const byArm = new Map<string, string[]>();
  for (const { arm, joint } of parsed) byArm.set(arm, [...(byArm.get(arm) ?? []), joint]);
  const isSo = isSoRobot(robotType);
  const numbered = new Set([...byArm].flatMap(([arm, joints]) => (isSo && isNumberedSix(joints) ? [arm] : [])));
  return parsed.map(({ arm, joint }) => {
    const first = byArm.get(arm)!.includes('#0') ? 0 : 1;
    const own = numbered.has(arm) ? (SO_JOINTS[Number(joint.slice(1)) - first] ?? joint) : joint;
    return arm === '' ? own : `${arm}.${own}`;
  });
}

function isNumberedSix(joints: readonly string[]): boolean {
  return joints.length === 6 && new Set(joints).size === 6 && joints.every((joint) => /^#\d+$/.test(joint)) && ['#0', '#1'].some((one) => joints.includes(one));
}

/** Whether a robot's type names an SO-100 or SO-101 arm, or two of them. */
export function isSoRobot(robotType: string): boolean {
  return /(?:^|[^a-z])so[-_]?(?:arm)?[-_]?(?:10[01]|follower|leader)?(?:[^a-z0-9]|$)/i.test(robotType) || /so[-_]?10[01]/i.test(robotType);
}

/** The arm of a canonical name; empty for the only one. */
export function armOf(canonical: string): string {
  return canonical.includes('.') ? canonical.slice(0, canonical.lastIndexOf('.')) : '';
}

/** The joint of a canonical name, without its arm. */
export function jointOf(canonical: string): string {
  return canonical.split('.').at(-1)!;
}

/** Whether a canonical name is one of an SO arm's joints. */
export function isSoJoint(canonical: string): boolean {
  return (SO_JOINTS as readonly string[]).includes(jointOf(canonical));
}
