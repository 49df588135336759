import type { CameraInfo, RgbImage } from '@zk0/core';
import { armSolids } from '../arm/arm-model.ts';
import { HAND, type LinkFrames } from '../arm/kinematics.ts';
import { packColor, Rasterizer, TAKES_SHADOW, type Backdrop, type Camera, type Solid } from './rasterizer.ts';
import { TABLE, thingSolids, type Surroundings, type Thing } from './scene.ts';
import { alignedFrame, apply, normalize, rotate, scale, subtract, type Transform, type Vec3 } from '../arm/transform.ts';

/** Keys of the two cameras of every demo dataset. */
export const TOP_CAMERA = 'observation.images.top';
export const WRIST_CAMERA = 'observation.images.wrist';

/** The cameras of a demo dataset at a picture size. */
export function demoCameras(width: number, height: number): readonly CameraInfo[] {
  return [TOP_CAMERA, WRIST_CAMERA].map((key) => ({ key, width, height }));
}

/** What the overview camera looks at. */
const WORKPLACE: Vec3 = [0.185, 0, 0.045];
const TOP_FIELD_OF_VIEW = 0.74;
/** In the hand's frame: behind the fixed finger and a little aside, looking past the finger tips. */
const WRIST_POSITION: Vec3 = [-0.045, 0.06, 0.01];
const WRIST_TARGET: Vec3 = [0.018, -0.004, -0.1];
const WRIST_FIELD_OF_VIEW = 1.25;

/** The camera that overlooks the table, where it is not the usual one. */
export interface Overview {
  /** Its key among the pictures. */
  readonly key: string;
  /** What it looks at. */
  readonly target: Vec3;
  /** Radians from the top of the picture to its bottom. */
  readonly fieldOfView: number;
}

const TOP: Overview = { key: TOP_CAMERA, target: WORKPLACE, fieldOfView: TOP_FIELD_OF_VIEW };

/** Renders what both cameras see in one place; one for a whole dataset. */
export class DemoView {
  readonly #surroundings: Surroundings;
  readonly #light: Vec3;
  readonly #backdrop: Backdrop;
  readonly #overview: Overview;
  #overviewCamera: Camera;
  readonly #top: Rasterizer;
  readonly #wrist: Rasterizer;

  constructor(surroundings: Surroundings, width: number, height: number, overview = TOP) {
    this.#surroundings = surroundings;
    this.#light = normalize(surroundings.light);
    this.#backdrop = backdropOf(surroundings);
    this.#overview = overview;
    this.#overviewCamera = overlooking(surroundings.camera, overview);
    this.#top = new Rasterizer(width, height);
    this.#wrist = new Rasterizer(width, height);
  }

  /** Puts the camera that overlooks the table elsewhere; it looks at the same point. */
  moveOverview(position: Vec3): void {
    this.#overviewCamera = overlooking(position, this.#overview);
  }

  /** The pictures of one moment, by camera key. */
  render(links: LinkFrames, things: readonly Thing[]): Record<string, RgbImage> {
    const solids: Solid[] = [...armSolids(links, this.#surroundings.arm), ...things.flatMap(thingSolids)];
    const wristCamera = { pose: wristPose(links[HAND]!), fieldOfView: WRIST_FIELD_OF_VIEW };
    return {
      [this.#overview.key]: this.#top.render(this.#overviewCamera, this.#backdrop, solids, this.#light),
      [WRIST_CAMERA]: this.#wrist.render(wristCamera, this.#backdrop, solids, this.#light),
    };
  }
}

function overlooking(position: Vec3, { target, fieldOfView }: Overview): Camera {
  return { pose: lookAt(position, target, [0, 0, 1]), fieldOfView };
}

function wristPose(hand: Transform): Camera['pose'] {
  return lookAt(apply(hand, WRIST_POSITION), apply(hand, WRIST_TARGET), rotate(hand, [1, 0, 0]));
}

/** A camera frame (x right, y down, z forward) at `from` that sees `to` in its middle. */
function lookAt(from: Vec3, to: Vec3, up: Vec3): Transform {
  const { x, y, z } = alignedFrame(from, subtract(to, from), up);
  // alignedFrame's x points up: down is −x, and right is down × forward.
  return { x: scale(y, -1), y: scale(x, -1), z, origin: from };
}

/** Metres per check, plank or stripe. */
const PATTERN_SIZE = { plain: 1, planks: 0.07, checks: 0.05, stripes: 0.03 } as const;

/** The table with its pattern; beyond it a wall that darkens downwards. */
function backdropOf({ table, wall }: Surroundings): Backdrop {
  const size = PATTERN_SIZE[table.pattern];
  const [even, odd] = table.colors.map((color) => packColor(...color) | TAKES_SHADOW) as [number, number];
  const alongX = table.pattern === 'checks' ? 1 / size : 0;
  const alongY = table.pattern === 'plain' ? 0 : 1 / size;
  return (origin, dx, dy, dz) => {
    if (dz < 0) {
      const t = -origin[2] / dz;
      const x = origin[0] + dx * t;
      const y = origin[1] + dy * t;
      if (x >= TABLE.minX && x <= TABLE.maxX && y >= TABLE.minY && y <= TABLE.maxY) {
        return (Math.floor(x * alongX) + Math.floor(y * alongY)) & 1 ? odd : even;
      }
    }
    const elevation = dz / Math.sqrt(dx * dx + dy * dy + dz * dz);
    const brightness = Math.min(1, Math.max(0.35, 0.85 + 0.5 * elevation));
    return packColor(wall[0] * brightness, wall[1] * brightness, wall[2] * brightness);
  };
}
