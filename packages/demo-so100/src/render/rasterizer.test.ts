import type { RgbImage } from '@zk0/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bowl, box, cylinder, sphere } from './mesh.ts';
import { packColor, Rasterizer, TAKES_SHADOW, type Backdrop, type Camera, type Solid } from './rasterizer.ts';
import { cross, dot, IDENTITY, subtract, type Vec3 } from '../arm/transform.ts';

const [WIDTH, HEIGHT] = [32, 24];
/** Stands 1 m over the table and looks straight down; x of the picture is x of the world. */
const CAMERA: Camera = { pose: { x: [1, 0, 0], y: [0, -1, 0], z: [0, 0, -1], origin: [0, 0, 1] }, fieldOfView: 1 };
const LIGHT: Vec3 = [0, 0, 1];
const GRAY: Backdrop = () => packColor(100, 100, 100);
const TABLE: Backdrop = () => packColor(100, 100, 100) | TAKES_SHADOW;

function at(origin: Vec3, mesh: Solid['mesh'], color: Solid['color']): Solid {
  return { mesh, color, pose: { ...IDENTITY, origin } };
}

function render(solids: readonly Solid[], backdrop = GRAY, light = LIGHT): RgbImage {
  return new Rasterizer(WIDTH, HEIGHT).render(CAMERA, backdrop, solids, light);
}

function pixel({ data }: RgbImage, x: number, y: number): number[] {
  return [...data.subarray((y * WIDTH + x) * 3, (y * WIDTH + x) * 3 + 3)];
}

const CUBE = box([0.2, 0.2, 0.2]);
const RED = [200, 0, 0] as const;
const GREEN = [0, 200, 0] as const;

describe('Rasterizer', () => {
  it('draws a lit box where it is, and the backdrop around it', () => {
    const image = render([at([0, 0, 0.1], CUBE, RED)]);
    expect(pixel(image, 16, 12)).toEqual([200, 0, 0]);
    expect(pixel(image, 1, 1)).toEqual([100, 100, 100]);
    const aside = render([at([0.3, 0, 0.1], CUBE, RED)]);
    expect(pixel(aside, 16, 12)).toEqual([100, 100, 100]);
    expect(pixel(aside, 26, 12)).toEqual([200, 0, 0]);
  });

  it('lets the nearer hide the farther, in whatever order', () => {
    const far = at([0, 0, 0.1], CUBE, RED);
    const near = at([0, 0, 0.5], CUBE, GREEN);
    expect(pixel(render([far, near]), 16, 12)).toEqual([0, 200, 0]);
    expect(render([far, near]).data).toEqual(render([near, far]).data);
  });

  it('casts a shadow on the table, once', () => {
    const slanted: Vec3 = [0.6, 0, 0.8];
    const one = render([at([0, 0, 0.3], CUBE, RED)], TABLE, slanted);
    const shadowed = pixel(one, 10, 12);
    expect(shadowed).toEqual([62, 62, 62]);
    expect(pixel(one, 22, 12)).toEqual([100, 100, 100]);
    const twice = render([at([0, 0, 0.3], CUBE, RED), at([0, 0, 0.3], CUBE, RED)], TABLE, slanted);
    expect(pixel(twice, 10, 12)).toEqual(shadowed);
  });

  it('cuts off what is behind the camera or too near', () => {
    expect(render([at([0, 0, 3], CUBE, RED)]).data).toEqual(render([]).data);
    // A pole beside the camera, from behind it to well in front.
    const beside = render([at([0.05, 0, 0.95], box([0.02, 0.02, 0.5]), RED)]);
    expect(pixel(beside, 16, 12)).toEqual([100, 100, 100]);
    expect(pixel(beside, 31, 12)[1]).toBe(0);
  });

  it('gives a picture for any triangle', () => {
    const coordinate = fc.double({ min: -3, max: 3, noNaN: true });
    const corner = fc.tuple(coordinate, coordinate, coordinate);
    fc.assert(
      fc.property(corner, corner, corner, (a, b, c) => {
        const mesh = { vertices: [a, b, c], triangles: [[0, 1, 2]] as const, normals: [[0, 0, 1]] as const };
        const { data } = render([{ mesh, pose: IDENTITY, color: RED }], TABLE);
        expect(data).toHaveLength(WIDTH * HEIGHT * 3);
        // Each pixel is a mixture of table, shadow, triangle: no less red than shadow, no greener than table.
        expect(data.every((value, i) => (i % 3 === 0 ? value >= 62 : value <= 100))).toBe(true);
      }),
      { numRuns: 50 },
    );
  });
});

describe('meshes', () => {
  it.each([
    ['box', box([1, 2, 3])],
    ['cylinder', cylinder(1, 2)],
    ['sphere', sphere(1)],
    ['bowl', bowl(1, 0.5)],
  ])('%s is closed and turned outwards', (_, { vertices, triangles, normals }) => {
    // The signed volume is that of the body, and the directed areas of a closed surface cancel.
    let volume = 0;
    const area: [number, number, number] = [0, 0, 0];
    for (const [index, [a, b, c]] of triangles.entries()) {
      const [va, vb, vc] = [vertices[a]!, vertices[b]!, vertices[c]!];
      const directed = cross(subtract(vb, va), subtract(vc, va));
      volume += dot(va, cross(vb, vc)) / 6;
      directed.forEach((value, axis) => (area[axis]! += value));
      expect(dot(directed, normals[index]!)).toBeGreaterThan(0);
    }
    expect(volume).toBeGreaterThan(0);
    area.forEach((value) => {
      expect(value).toBeCloseTo(0, 9);
    });
  });
});
