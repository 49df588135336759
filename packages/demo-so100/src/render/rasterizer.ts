import type { RgbImage } from '@zk0/core';
import type { Mesh } from './mesh.ts';
import { apply, compose, dot, invert, rotate, type Transform, type Vec3 } from '../arm/transform.ts';

/** Red, green, blue, each 0 … 255. */
export type Color = readonly [number, number, number];

/** A pinhole camera: x right, y down, z into the picture. */
export interface Camera {
  readonly pose: Transform;
  /** Radians from the top of the picture to its bottom. */
  readonly fieldOfView: number;
}

/** A mesh put somewhere in the world. */
export interface Solid {
  readonly mesh: Mesh;
  readonly pose: Transform;
  readonly color: Color;
}

/** A colour in one number: red in the lowest byte, then green, blue, and flags. */
export type PackedColor = number;

/** Set in a {@link PackedColor} of the table: solids cast their shadow there. */
export const TAKES_SHADOW = 1 << 24;

export function packColor(red: number, green: number, blue: number): PackedColor {
  return (red & 255) | ((green & 255) << 8) | ((blue & 255) << 16);
}

/** What lies behind all solids: the colour seen from `origin` along a ray. */
export type Backdrop = (origin: Vec3, dx: number, dy: number, dz: number) => PackedColor;

/** Samples per pixel along each axis; they are averaged. */
const SUPERSAMPLING = 2;
/** Metres in front of the camera within which nothing is drawn. */
const NEAR = 0.008;
const AMBIENT = 0.48;
const SHADOW = 0.62;

/**
 * A software renderer for one camera: z-buffer, flat Lambert shading by one distant light, hard shadows on the table.
 * Buffers are kept from picture to picture.
 */
export class Rasterizer {
  readonly #width: number;
  readonly #height: number;
  readonly #samplesX: number;
  readonly #samplesY: number;
  readonly #color: Uint32Array;
  /** 1 / depth; 0 is infinitely far. */
  readonly #inverseDepth: Float32Array;
  /** The backdrop drawn last, for a camera that stands still. */
  readonly #still: Uint32Array;
  #stillKey: { readonly camera: Camera; readonly backdrop: Backdrop } | undefined;

  constructor(width: number, height: number) {
    this.#width = width;
    this.#height = height;
    this.#samplesX = width * SUPERSAMPLING;
    this.#samplesY = height * SUPERSAMPLING;
    const samples = this.#samplesX * this.#samplesY;
    this.#color = new Uint32Array(samples);
    this.#still = new Uint32Array(samples);
    this.#inverseDepth = new Float32Array(samples);
  }

  /**
   * Renders one picture. The same `camera` and `backdrop` objects as last time mean the same backdrop picture.
   *
   * @param light direction that the light comes from, of length 1, above the table.
   */
  render(camera: Camera, backdrop: Backdrop, solids: readonly Solid[], light: Vec3): RgbImage {
    const view = invert(camera.pose);
    const focal = this.#samplesY / 2 / Math.tan(camera.fieldOfView / 2);
    if (this.#stillKey?.camera !== camera || this.#stillKey.backdrop !== backdrop) {
      this.#drawBackdrop(camera.pose, focal, backdrop);
      this.#stillKey = { camera, backdrop };
    }
    this.#color.set(this.#still);
    for (const solid of solids) this.#castShadow(solid, view, focal, light);
    this.#inverseDepth.fill(0);
    for (const solid of solids) this.#draw(solid, view, focal, light);
    return this.#average();
  }

  #drawBackdrop({ x, y, z, origin }: Transform, focal: number, backdrop: Backdrop): void {
    const [halfX, halfY] = [this.#samplesX / 2 - 0.5, this.#samplesY / 2 - 0.5];
    const still = this.#still;
    let sample = 0;
    for (let row = 0; row < this.#samplesY; row++) {
      const v = (row - halfY) / focal;
      const [rowX, rowY, rowZ] = [y[0] * v + z[0], y[1] * v + z[1], y[2] * v + z[2]];
      for (let column = 0; column < this.#samplesX; column++, sample++) {
        const u = (column - halfX) / focal;
        still[sample] = backdrop(origin, x[0] * u + rowX, x[1] * u + rowY, x[2] * u + rowZ);
      }
    }
  }

  /** Darkens the samples of the table that the solid keeps the light from. */
  #castShadow({ mesh, pose }: Solid, view: Transform, focal: number, light: Vec3): void {
    const points = mesh.vertices.map((vertex): Vec3 => {
      const [px, py, pz] = apply(pose, vertex);
      const t = pz / light[2];
      return apply(view, [px - light[0] * t, py - light[1] * t, 0]);
    });
    for (let index = 0; index < mesh.triangles.length; index++) {
      // The sides turned to the light cast the whole shadow.
      if (dot(rotate(pose, mesh.normals[index]!), light) <= 0) continue;
      const [a, b, c] = mesh.triangles[index]!;
      this.#fill(points[a]!, points[b]!, points[c]!, focal, undefined);
    }
  }

  #draw({ mesh, pose, color }: Solid, view: Transform, focal: number, light: Vec3): void {
    const toCamera = compose(view, pose);
    const points = mesh.vertices.map((vertex) => apply(toCamera, vertex));
    for (let index = 0; index < mesh.triangles.length; index++) {
      const [a, b, c] = mesh.triangles[index]!;
      // Turned away from the camera: every mesh is closed, so something nearer hides it.
      if (dot(rotate(toCamera, mesh.normals[index]!), points[a]!) >= 0) continue;
      const lambert = Math.max(0, dot(rotate(pose, mesh.normals[index]!), light));
      const brightness = AMBIENT + (1 - AMBIENT) * lambert;
      const shaded = packColor(color[0] * brightness, color[1] * brightness, color[2] * brightness);
      this.#fill(points[a]!, points[b]!, points[c]!, focal, shaded);
    }
  }

  /** Fills a triangle given in camera coordinates, cutting off what is too near: with a colour, or as shadow. */
  #fill(a: Vec3, b: Vec3, c: Vec3, focal: number, color: PackedColor | undefined): void {
    if (a[2] >= NEAR && b[2] >= NEAR && c[2] >= NEAR) {
      this.#fillVisible(a, b, c, focal, color);
      return;
    }
    const corners = clipNear([a, b, c]);
    for (let index = 2; index < corners.length; index++) {
      this.#fillVisible(corners[0]!, corners[index - 1]!, corners[index]!, focal, color);
    }
  }

  #fillVisible(a: Vec3, b: Vec3, c: Vec3, focal: number, color: PackedColor | undefined): void {
    const [centerX, centerY] = [this.#samplesX / 2, this.#samplesY / 2];
    const [ia, ib, ic] = [1 / a[2], 1 / b[2], 1 / c[2]];
    const [ax, ay] = [centerX + focal * a[0] * ia, centerY + focal * a[1] * ia];
    const [bx, by] = [centerX + focal * b[0] * ib, centerY + focal * b[1] * ib];
    const [cx, cy] = [centerX + focal * c[0] * ic, centerY + focal * c[1] * ic];
    const area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax);
    if (Math.abs(area) < 1e-9) return;
    const top = Math.max(0, Math.ceil(Math.min(ay, by, cy) - 0.5));
    const bottom = Math.min(this.#samplesY - 1, Math.floor(Math.max(ay, by, cy) - 0.5));
    const left = Math.max(0, Math.ceil(Math.min(ax, bx, cx) - 0.5));
    const right = Math.min(this.#samplesX - 1, Math.floor(Math.max(ax, bx, cx) - 0.5));
    // Barycentric weights of b and c, and with them 1/depth, change linearly over the picture.
    const [bdx, bdy] = [(cy - ay) / area, -(cx - ax) / area];
    const [cdx, cdy] = [-(by - ay) / area, (bx - ax) / area];
    const depthSlope = bdx * (ib - ia) + cdx * (ic - ia);
    const px = left + 0.5 - ax;
    for (let row = top; row <= bottom; row++) {
      const py = row + 0.5 - ay;
      const wb = px * bdx + py * bdy;
      const wc = px * cdx + py * cdy;
      const wa = 1 - wb - wc;
      const adx = -bdx - cdx;
      // The stretch of the row on which all three weights are at least 0.
      const from = Math.max(crossing(wa, adx, -Infinity), crossing(wb, bdx, -Infinity), crossing(wc, cdx, -Infinity));
      const to = Math.min(crossing(wa, adx, Infinity), crossing(wb, bdx, Infinity), crossing(wc, cdx, Infinity));
      const first = Math.max(0, Math.ceil(from));
      const last = Math.min(right - left, Math.floor(to));
      if (first > last) continue;
      const rowStart = row * this.#samplesX + left;
      if (color === undefined) {
        this.#shade(rowStart + first, rowStart + last);
      } else {
        const inverseDepth = ia + wb * (ib - ia) + wc * (ic - ia) + first * depthSlope;
        this.#paint(rowStart + first, rowStart + last, inverseDepth, depthSlope, color);
      }
    }
  }

  #shade(first: number, last: number): void {
    const colors = this.#color;
    for (let sample = first; sample <= last; sample++) {
      const color = colors[sample]!;
      if ((color & TAKES_SHADOW) === 0) continue;
      // Without the flag from now on: a second shadow does not make it darker.
      colors[sample] = packColor((color & 255) * SHADOW, ((color >> 8) & 255) * SHADOW, ((color >> 16) & 255) * SHADOW);
    }
  }

  #paint(first: number, last: number, inverseDepth: number, slope: number, color: PackedColor): void {
    const [colors, depths] = [this.#color, this.#inverseDepth];
    for (let sample = first; sample <= last; sample++, inverseDepth += slope) {
      if (inverseDepth <= depths[sample]!) continue;
      depths[sample] = inverseDepth;
      colors[sample] = color;
    }
  }

  #average(): RgbImage {
    const [width, height, color] = [this.#width, this.#height, this.#color];
    const data = new Uint8Array(width * height * 3);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const above = y * SUPERSAMPLING * this.#samplesX + x * SUPERSAMPLING;
        const below = above + this.#samplesX;
        const a = color[above]!;
        const b = color[above + 1]!;
        const c = color[below]!;
        const d = color[below + 1]!;
        const pixel = (y * width + x) * 3;
        data[pixel] = ((a & 255) + (b & 255) + (c & 255) + (d & 255) + 2) >> 2;
        data[pixel + 1] = (((a >> 8) & 255) + ((b >> 8) & 255) + ((c >> 8) & 255) + ((d >> 8) & 255) + 2) >> 2;
        data[pixel + 2] = (((a >> 16) & 255) + ((b >> 16) & 255) + ((c >> 16) & 255) + ((d >> 16) & 255) + 2) >> 2;
      }
    }
    return { width, height, data };
  }
}

/**
 * Where on a row a weight, `value` at its start and changing by `slope` a sample, is at least 0: the lower (`end`
 * −Infinity) or upper end of that stretch. A weight that is negative all along gives an empty stretch.
 */
function crossing(value: number, slope: number, end: number): number {
  if (slope === 0) return value >= 0 ? end : -end;
  return slope > 0 === end < 0 ? -value / slope : end;
}

/** The part of a triangle that lies at least {@link NEAR} in front of the camera. */
function clipNear(corners: readonly Vec3[]): Vec3[] {
  const kept: Vec3[] = [];
  for (let index = 0; index < corners.length; index++) {
    const from = corners[index]!;
    const to = corners[(index + 1) % corners.length]!;
    if (from[2] >= NEAR) kept.push(from);
    if (from[2] >= NEAR === to[2] >= NEAR) continue;
    const t = (NEAR - from[2]) / (to[2] - from[2]);
    kept.push([from[0] + t * (to[0] - from[0]), from[1] + t * (to[1] - from[1]), NEAR]);
  }
  return kept;
}
