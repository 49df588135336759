import { add, cross, normalize, subtract, type Vec3 } from '../arm/transform.ts';

/** A triangle mesh with one normal per triangle (flat shading), in metres. */
export interface Mesh {
  readonly vertices: readonly Vec3[];
  readonly triangles: readonly (readonly [number, number, number])[];
  readonly normals: readonly Vec3[];
}

function mesh(vertices: readonly Vec3[], faces: readonly (readonly number[])[]): Mesh {
  const triangles = faces.flatMap((face) =>
    face.slice(2).map((_, index) => [face[0]!, face[index + 1]!, face[index + 2]!] as const),
  );
  const normals = triangles.map(([a, b, c]) =>
    normalize(cross(subtract(vertices[b]!, vertices[a]!), subtract(vertices[c]!, vertices[a]!))),
  );
  return { vertices, triangles, normals };
}

/** A box around `center`. */
export function box(size: Vec3, center: Vec3 = [0, 0, 0]): Mesh {
  const vertices = [0, 1, 2, 3, 4, 5, 6, 7].map((corner): Vec3 => [
    center[0] + (corner & 1 ? 0.5 : -0.5) * size[0],
    center[1] + (corner & 2 ? 0.5 : -0.5) * size[1],
    center[2] + (corner & 4 ? 0.5 : -0.5) * size[2],
  ]);
  return mesh(vertices, BOX_FACES);
}

const BOX_FACES = [
  [0, 2, 3, 1],
  [4, 5, 7, 6],
  [0, 1, 5, 4],
  [2, 6, 7, 3],
  [0, 4, 6, 2],
  [1, 3, 7, 5],
] as const;

/** A box whose far end along −z is `taper` times as wide as the near one: a finger. */
export function finger(size: Vec3, center: Vec3, taper: number): Mesh {
  const straight = box(size, center);
  const vertices = straight.vertices.map((vertex): Vec3 => {
    if (vertex[2] > center[2]) return vertex;
    return [vertex[0], center[1] + (vertex[1] - center[1]) * taper, vertex[2]];
  });
  return mesh(vertices, BOX_FACES);
}

/** A standing prism with a regular polygon as base, around `center`: a cylinder to the eye. */
export function cylinder(radius: number, height: number, segments = 14, center: Vec3 = [0, 0, 0]): Mesh {
  const { vertices, triangles, normals } = turned(
    [
      [0, -height / 2],
      [radius, -height / 2],
      [radius, height / 2],
      [0, height / 2],
    ],
    segments,
  );
  return { vertices: vertices.map((vertex) => add(vertex, center)), triangles, normals };
}

/** A ball around the origin. */
export function sphere(radius: number, segments = 14, rings = 8): Mesh {
  const profile = Array.from({ length: rings + 1 }, (_, ring): readonly [number, number] => {
    const angle = (ring / rings) * Math.PI;
    return [radius * Math.sin(angle), -radius * Math.cos(angle)];
  });
  return turned(profile, segments);
}

/** An open bowl standing on z = 0. */
export function bowl(radius: number, height: number, segments = 16): Mesh {
  const foot = radius * 0.6;
  const wall = radius * 0.08;
  return turned(
    [
      [0, 0],
      [foot, 0],
      [radius, height],
      [radius - wall, height],
      [foot - wall, FLOOR],
      [0, FLOOR],
    ],
    segments,
  );
}

/** Height of the inside bottom of bowls and trays, metres. */
export const FLOOR = 0.006;

/** A shallow tray standing on z = 0: a floor and four rims. */
export function tray(width: number, depth: number, height: number): readonly Mesh[] {
  const rim = FLOOR;
  const side = (width - rim) / 2;
  const end = (depth - rim) / 2;
  return [
    box([width, depth, rim], [0, 0, rim / 2]),
    box([rim, depth, height], [side, 0, height / 2]),
    box([rim, depth, height], [-side, 0, height / 2]),
    box([width, rim, height], [0, end, height / 2]),
    box([width, rim, height], [0, -end, height / 2]),
  ];
}

/** Turns a profile of (radius, height) points about z. */
function turned(profile: readonly (readonly [number, number])[], segments: number): Mesh {
  const vertices = profile.flatMap(([radius, z]) =>
    Array.from({ length: segments }, (_, segment): Vec3 => {
      const angle = (segment / segments) * 2 * Math.PI;
      return [radius * Math.cos(angle), radius * Math.sin(angle), z];
    }),
  );
  const faces: number[][] = [];
  for (let ring = 0; ring + 1 < profile.length; ring++) {
    for (let segment = 0; segment < segments; segment++) {
      const next = (segment + 1) % segments;
      const [a, b] = [ring * segments + segment, ring * segments + next];
      const [c, d] = [b + segments, a + segments];
      if (profile[ring]![0] === 0) faces.push([a, c, d]);
      else if (profile[ring + 1]![0] === 0) faces.push([a, b, d]);
      else faces.push([a, b, c, d]);
    }
  }
  return mesh(vertices, faces);
}
