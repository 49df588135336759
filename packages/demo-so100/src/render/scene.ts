import { bowl, box, cylinder, sphere, tray, FLOOR } from './mesh.ts';
import type { Color, Solid } from './rasterizer.ts';
import { compose, IDENTITY, rotationZ, type Transform, type Vec3 } from '../arm/transform.ts';

/** What things on the table look like and how big they are (metres). */
export type ThingShape =
  | { readonly kind: 'cube'; readonly size: number }
  | { readonly kind: 'block'; readonly length: number; readonly size: number }
  | { readonly kind: 'cylinder'; readonly radius: number; readonly height: number }
  | { readonly kind: 'ball'; readonly radius: number }
  | { readonly kind: 'bowl'; readonly radius: number; readonly height: number }
  | { readonly kind: 'tray'; readonly width: number; readonly depth: number; readonly height: number }
  | { readonly kind: 'mat'; readonly radius: number };

export interface ThingModel {
  readonly shape: ThingShape;
  readonly color: Color;
}

/** A thing somewhere: the origin of its pose is the centre of its underside, z its own upward direction. */
export interface Thing extends ThingModel {
  readonly pose: Transform;
}

/** A thing standing on the table, turned about z by `yaw` radians. */
export function standing(model: ThingModel, position: Vec3, yaw: number): Thing {
  return { ...model, pose: { ...rotationZ(yaw), origin: position } };
}

/** How a table and its surroundings look. */
export interface Surroundings {
  readonly table: {
    readonly pattern: 'plain' | 'planks' | 'checks' | 'stripes';
    readonly colors: readonly [Color, Color];
  };
  readonly wall: Color;
  /** Colour of the arm's printed parts. */
  readonly arm: Color;
  /** Direction that the light comes from; need not be of length 1. */
  readonly light: Vec3;
  /** Where the overview camera stands. */
  readonly camera: Vec3;
}

/** Height of a thing, metres. */
export function heightOf(shape: ThingShape): number {
  switch (shape.kind) {
    case 'cube':
    case 'block':
      return shape.size;
    case 'cylinder':
    case 'bowl':
    case 'tray':
      return shape.height;
    case 'ball':
      return shape.radius * 2;
    case 'mat':
      return MAT_HEIGHT;
  }
}

/** Half of what the fingers close on, or how near a pushing hand gets to the middle, metres. */
export function gripRadius(shape: ThingShape): number {
  switch (shape.kind) {
    case 'cube':
    case 'block':
      return shape.size / 2;
    case 'cylinder':
    case 'ball':
    case 'bowl':
    case 'mat':
      return shape.radius;
    case 'tray':
      return Math.min(shape.width, shape.depth) / 2;
  }
}

export const MAT_HEIGHT = 0.002;

/** A thing's solids. */
export function thingSolids({ shape, color, pose }: Thing): Solid[] {
  const solid = (mesh: Solid['mesh'], lift = 0): Solid => ({
    mesh,
    color,
    pose: compose(pose, { ...IDENTITY, origin: [0, 0, lift] }),
  });
  switch (shape.kind) {
    case 'cube':
      return [solid(box([shape.size, shape.size, shape.size]), shape.size / 2)];
    case 'block':
      return [solid(box([shape.size, shape.length, shape.size]), shape.size / 2)];
    case 'cylinder':
      return [solid(cylinder(shape.radius, shape.height), shape.height / 2)];
    case 'ball':
      return [solid(sphere(shape.radius), shape.radius)];
    case 'bowl':
      return [solid(bowl(shape.radius, shape.height))];
    case 'tray':
      return tray(shape.width, shape.depth, shape.height).map((mesh) => solid(mesh));
    case 'mat':
      return [solid(cylinder(shape.radius, MAT_HEIGHT, 20), MAT_HEIGHT / 2)];
  }
}

/** The table's rectangle, metres. */
export const TABLE = { minX: -0.16, maxX: 0.5, minY: -0.42, maxY: 0.42 } as const;

/** Where the surface lies that something put into or onto a thing comes to rest on, above the thing's underside, metres. */
export function restingHeight(shape: ThingShape): number {
  return shape.kind === 'bowl' || shape.kind === 'tray' ? FLOOR : heightOf(shape);
}
