/** A point or direction in metres: x forward from the robot, y to its left, z up. */
export type Vec3 = readonly [number, number, number];

export function add(a: Vec3, b: Vec3): Vec3 {
  return [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
}

export function subtract(a: Vec3, b: Vec3): Vec3 {
  return [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
}

export function scale(a: Vec3, factor: number): Vec3 {
  return [a[0] * factor, a[1] * factor, a[2] * factor];
}

export function dot(a: Vec3, b: Vec3): number {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

export function cross(a: Vec3, b: Vec3): Vec3 {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

export function normalize(a: Vec3): Vec3 {
  return scale(a, 1 / Math.hypot(a[0], a[1], a[2]));
}

export function distance(a: Vec3, b: Vec3): number {
  return Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}

/** A rigid motion: the columns of a rotation matrix (the frame's axes, seen from outside) and a translation. */
export interface Transform {
  readonly x: Vec3;
  readonly y: Vec3;
  readonly z: Vec3;
  readonly origin: Vec3;
}

export const IDENTITY: Transform = { x: [1, 0, 0], y: [0, 1, 0], z: [0, 0, 1], origin: [0, 0, 0] };

/** Turns a direction given in the frame into one outside. */
export function rotate(frame: Transform, v: Vec3): Vec3 {
  const { x, y, z } = frame;
  return [
    x[0] * v[0] + y[0] * v[1] + z[0] * v[2],
    x[1] * v[0] + y[1] * v[1] + z[1] * v[2],
    x[2] * v[0] + y[2] * v[1] + z[2] * v[2],
  ];
}

/** Moves a point given in the frame to where it is outside. */
export function apply(frame: Transform, point: Vec3): Vec3 {
  return add(rotate(frame, point), frame.origin);
}

/** A frame given inside another, seen from outside. */
export function compose(outer: Transform, inner: Transform): Transform {
  return {
    x: rotate(outer, inner.x),
    y: rotate(outer, inner.y),
    z: rotate(outer, inner.z),
    origin: apply(outer, inner.origin),
  };
}

/** The frame seen from inside itself: `compose(invert(f), f)` is the identity. */
export function invert({ x, y, z, origin }: Transform): Transform {
  return {
    x: [x[0], y[0], z[0]],
    y: [x[1], y[1], z[1]],
    z: [x[2], y[2], z[2]],
    origin: [-dot(x, origin), -dot(y, origin), -dot(z, origin)],
  };
}

/** A URDF `origin`: translation, and rotation by roll about x, then pitch about y, then yaw about z (fixed axes). */
export function fromRollPitchYaw(origin: Vec3, [roll, pitch, yaw]: Vec3): Transform {
  const [cr, sr] = [Math.cos(roll), Math.sin(roll)];
  const [cp, sp] = [Math.cos(pitch), Math.sin(pitch)];
  const [cy, sy] = [Math.cos(yaw), Math.sin(yaw)];
  return {
    x: [cy * cp, sy * cp, -sp],
    y: [cy * sp * sr - sy * cr, sy * sp * sr + cy * cr, cp * sr],
    z: [cy * sp * cr + sy * sr, sy * sp * cr - cy * sr, cp * cr],
    origin,
  };
}

/** A rotation about z through the origin. */
export function rotationZ(angle: number): Transform {
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  return { x: [c, s, 0], y: [-s, c, 0], z: [0, 0, 1], origin: [0, 0, 0] };
}

/** A frame whose z axis points along `direction`; its x axis lies as near to `towards` as it can. */
export function alignedFrame(origin: Vec3, direction: Vec3, towards: Vec3): Transform {
  const z = normalize(direction);
  const y = normalize(cross(z, towards));
  return { x: cross(y, z), y, z, origin };
}
