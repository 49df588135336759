import { ARM_PARTS } from '../arm/arm-model.ts';
import { LINK_INERTIAS } from '../arm/links.ts';
import { JOINT_FRAMES, JOINT_LIMITS, JOINTS } from '../arm/so100.ts';
import type { Transform, Vec3 } from '../arm/transform.ts';
import { FLOOR } from '../render/mesh.ts';
import { heightOf, type ThingModel, type ThingShape } from '../render/scene.ts';
import { quaternionOf } from './quaternion.ts';

/** Seconds of one step of the physics. */
export const TIME_STEP = 0.005;

/**
 * The STS3215 servo as a position controller, after the MJCF of TheRobotStudio/SO-ARM100 (Apache-2.0): N·m per radian,
 * N·m, N·m·s per radian, N·m, kg·m².
 */
const SERVO = { stiffness: 17.8, torque: 3.35, damping: 0.6, friction: 0.052, armature: 0.028 } as const;

/** Kilograms per cubic metre of what is moved: solid plastic. */
const DENSITY = 1200;

/** Damping of a free thing, N·m·s: stops a can from rocking on its rim; on a thing that slides or falls it is not felt. */
const ROCKING = 1e-4;

/** Friction: sliding, torsional (m), rolling (m). Of two surfaces the rougher one counts: rubber pads on the fingers. */
const SMOOTH = '0.5 0.01 0.001';
const PADS = '1.2 0.01 0.001';

/** Collision groups: the arm touches table and things, what is moved touches everything, things that stay do not touch the table. */
const ARM = 'contype="1" conaffinity="0"';
const TABLE_GROUP = 'contype="2" conaffinity="1"';
const MOVED = 'contype="4" conaffinity="7"';
const FIXED = 'contype="0" conaffinity="5"';

/** Width of a finger that touches, relative to its root: about what it is at the pads. */
const FINGER_WIDTH = 0.6;

/** Boxes that a bowl's wall is made of. */
const WALL_SEGMENTS = 14;

/** How a scene's physics are stepped. */
export interface PhysicsSettings {
  /** Seconds of one step. Default {@link TIME_STEP}. */
  readonly timeStep?: number;
}

/** Contacts of each thing that is handled, in this order: with the fixed finger's link, with the moving finger's, with the whole arm. */
export const SENSORS_PER_THING = 3;

/**
 * The scene as MuJoCo reads it: the arm bolted to the table, the things that are handled as free bodies, every other thing
 * as a body that stays where it is put. Things that lie at rest sleep until something touches them, and the solver stops where its steps
 * no longer matter to what a camera or an encoder could see: a fifth to a quarter less time.
 */
export function sceneXml(handled: readonly ThingModel[], fixed: readonly ThingModel[], { timeStep = TIME_STEP }: PhysicsSettings = {}): string {
  return `<mujoco model="zk0-demo">
  <compiler angle="radian" autolimits="true"/>
  <option timestep="${timeStep}" integrator="implicitfast" cone="elliptic" impratio="10" iterations="20" tolerance="1e-6" ls_iterations="20"><flag sleep="enable"/></option>
  <default>
    <geom condim="4" friction="${SMOOTH}" solref="0.01 1"/>
    <joint damping="${SERVO.damping}" frictionloss="${SERVO.friction}" armature="${SERVO.armature}"/>
    <position kp="${SERVO.stiffness}" forcerange="-${SERVO.torque} ${SERVO.torque}"/>
  </default>
  <worldbody>
    <geom name="table" type="plane" size="1 1 0.1" ${TABLE_GROUP}/>
    <body name="base">${partGeoms(0)}${armBodies(0)}</body>
    ${handled.map(({ shape }, index) => `<body name="thing${index}"><joint name="thing${index}" type="free" damping="${ROCKING}" frictionloss="0" armature="0"/>${thingGeoms(shape, `${MOVED} density="${DENSITY}"`)}</body>`).join('')}
    ${fixed.map(({ shape }, index) => `<body name="fixed${index}" mocap="true">${thingGeoms(shape, FIXED)}</body>`).join('')}
  </worldbody>
  <actuator>${JOINTS.map((name, index) => `<position name="${name}" joint="${name}" ctrlrange="${range(index)}"/>`).join('')}</actuator>
  <sensor>${handled.map((_, index) => contactSensors(index)).join('')}</sensor>
</mujoco>`;
}

function contactSensors(thing: number): string {
  return ['body2="link5"', 'body2="link6"', 'subtree2="link1"'].map((other) => `<contact body1="thing${thing}" ${other} num="1" data="found"/>`).join('');
}

function range(joint: number): string {
  const { lower, upper } = JOINT_LIMITS[joint]!;
  return `${lower} ${upper}`;
}

/** The link after `joint`, and inside it all links after that. */
function armBodies(joint: number): string {
  const frame = JOINT_FRAMES[joint];
  if (frame === undefined) return '';
  const { mass, center, inertia } = LINK_INERTIAS[joint]!;
  return `<body name="link${joint + 1}" ${poseOf(frame)}>
    <inertial pos="${center.join(' ')}" mass="${mass}" fullinertia="${inertia.join(' ')}"/>
    <joint name="${JOINTS[joint]!}" type="hinge" axis="0 0 1" range="${range(joint)}"/>
    ${partGeoms(joint + 1)}${armBodies(joint + 1)}</body>`;
}

/** What of a link can touch: its boxes. The base's servo lies inside the shoulder. */
function partGeoms(link: number): string {
  return ARM_PARTS.filter((part) => part.link === link && part.shape !== 'cylinder')
    .map(({ shape, size: drawn, center, pose }) => {
      const size: Vec3 = shape === 'finger' ? [drawn[0], drawn[1] * FINGER_WIDTH, drawn[2]] : drawn;
      const at = { ...pose, origin: center.map((value, axis) => value + pose.origin[axis]!) as unknown as Vec3 };
      const rubber = shape === 'finger' ? `friction="${PADS}"` : '';
      return `<geom type="box" size="${halves(size)}" ${poseOf(at)} ${rubber} ${ARM}/>`;
    })
    .join('');
}

/** The surfaces of a thing, above the centre of its underside. */
function thingGeoms(shape: ThingShape, group: string): string {
  const geom = (type: string, size: string, pos: Vec3, more = ''): string => `<geom type="${type}" size="${size}" pos="${pos.join(' ')}" ${more} ${group}/>`;
  const half = heightOf(shape) / 2;
  switch (shape.kind) {
    case 'cube':
      return geom('box', halves([shape.size, shape.size, shape.size]), [0, 0, half]);
    case 'block':
      return geom('box', halves([shape.size, shape.length, shape.size]), [0, 0, half]);
    case 'cylinder':
    case 'mat':
      return geom('cylinder', `${shape.radius} ${half}`, [0, 0, half]);
    case 'ball':
      // Soft, as a foam ball: rolling friction of 2 mm brings it to rest.
      return geom('sphere', String(shape.radius), [0, 0, half], 'condim="6" friction="0.5 0.02 0.002"');
    case 'tray':
      return trayBoxes(shape.width, shape.depth, shape.height).map(({ size, center }) => geom('box', halves(size), center)).join('');
    case 'bowl':
      return bowlWall(shape.radius, shape.height, group) + geom('cylinder', `${shape.radius * 0.6} ${FLOOR / 2}`, [0, 0, FLOOR / 2]);
  }
}

/** A floor and four rims. */
function trayBoxes(width: number, depth: number, height: number): { readonly size: Vec3; readonly center: Vec3 }[] {
  const rim = FLOOR;
  const [side, end] = [(width - rim) / 2, (depth - rim) / 2];
  return [
    { size: [width, depth, rim], center: [0, 0, rim / 2] },
    { size: [rim, depth, height], center: [side, 0, height / 2] },
    { size: [rim, depth, height], center: [-side, 0, height / 2] },
    { size: [width, rim, height], center: [0, end, height / 2] },
    { size: [width, rim, height], center: [0, -end, height / 2] },
  ];
}

/** The wall of a bowl as a ring of slanted boxes, from its foot to its rim. */
function bowlWall(radius: number, height: number, group: string): string {
  const foot = radius * 0.6;
  const thickness = radius * 0.08;
  const slant = Math.atan2(radius - foot, height);
  const length = Math.hypot(radius - foot, height);
  const middle = (radius + foot) / 2 - thickness / 2;
  const width = (2 * Math.PI * radius) / WALL_SEGMENTS;
  return Array.from({ length: WALL_SEGMENTS }, (_, segment) => {
    const angle = (2 * Math.PI * segment) / WALL_SEGMENTS;
    const [c, s] = [Math.cos(angle), Math.sin(angle)];
    const [cs, ss] = [Math.cos(slant), Math.sin(slant)];
    const frame: Transform = { x: [cs * c, cs * s, -ss], y: [-s, c, 0], z: [ss * c, ss * s, cs], origin: [middle * c, middle * s, height / 2] };
    return `<geom type="box" size="${halves([thickness, width, length])}" ${poseOf(frame)} ${group}/>`;
  }).join('');
}

function halves(size: Vec3): string {
  return size.map((edge) => edge / 2).join(' ');
}

function poseOf(frame: Transform): string {
  return `pos="${frame.origin.join(' ')}" quat="${quaternionOf(frame).join(' ')}"`;
}
