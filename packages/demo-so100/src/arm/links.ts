import type { Vec3 } from './transform.ts';

/** What a link of the arm weighs, and how that is spread. */
export interface LinkInertia {
  /** Kilograms. */
  readonly mass: number;
  /** Centre of mass in the link's frame, metres. */
  readonly center: Vec3;
  /** Ixx, Iyy, Izz, Ixy, Ixz, Iyz about the centre of mass, kg·m². */
  readonly inertia: readonly [number, number, number, number, number, number];
}

/**
 * Masses of the SO-101's moving links from the shoulder to the moving finger, from the same URDF as the geometry
 * (`Simulation/SO101/so101_new_calib.urdf` of TheRobotStudio/SO-ARM100, Apache-2.0).
 */
export const LINK_INERTIAS: readonly LinkInertia[] = [
  {
    mass: 0.100006,
    center: [-0.0307604, -1.66727e-5, -0.0252713],
    inertia: [8.3759e-5, 8.10403e-5, 2.39783e-5, 7.55525e-8, -1.16342e-6, 1.54663e-7],
  },
  {
    mass: 0.103,
    center: [-0.0898471, -0.00838224, 0.0184089],
    inertia: [4.08002e-5, 0.000147318, 0.000142487, -1.97819e-5, -4.03016e-8, 8.97326e-9],
  },
  {
    mass: 0.104,
    center: [-0.0980701, 0.00324376, 0.0182831],
    inertia: [2.87438e-5, 0.000159844, 0.00014529, 7.41152e-6, 1.26409e-6, -4.90188e-8],
  },
  {
    mass: 0.079,
    center: [-0.000103312, -0.0386143, 0.0281156],
    inertia: [3.68263e-5, 2.5391e-5, 2.1e-5, 1.7893e-8, -5.28128e-8, 3.6412e-6],
  },
  {
    mass: 0.087,
    center: [0.000213627, 0.000245138, -0.025187],
    inertia: [2.75087e-5, 4.33657e-5, 3.45059e-5, -3.35241e-7, -5.7352e-6, -5.17847e-8],
  },
  {
    mass: 0.012,
    center: [-0.00157495, -0.0300244, 0.0192755],
    inertia: [6.61427e-6, 1.89032e-6, 5.28738e-6, -3.19807e-7, -5.90717e-9, -1.09945e-7],
  },
];
