import { describe, expect, it } from 'vitest';
import { matchCameras, type CameraNeeds } from './cameras.ts';
import { proposeRenames } from './propose-cameras.ts';

const key = (name: string): string => `observation.images.${name}`;
const needs = (names: readonly string[], more: Partial<CameraNeeds> = {}): CameraNeeds => ({ cameras: names.map(key), emptyCameras: 0, renameMap: {}, ...more });
const set = (...names: string[]): Parameters<typeof matchCameras>[1] => ({ name: 'set', cameras: names.map((name) => ({ key: key(name), height: 8, width: 8 })) });

describe('matchCameras', () => {
  it('gives the dataset’s cameras in the order in which the policy takes them', () => {
    expect(matchCameras(needs(['wrist', 'top']), set('top', 'wrist'), {}).datasetKeys).toEqual([key('wrist'), key('top')]);
    expect(matchCameras(needs(['camera1', 'camera2']), set('top', 'wrist'), { [key('top')]: key('camera2'), [key('wrist')]: key('camera1') }).datasetKeys).toEqual([
      key('wrist'),
      key('top'),
    ]);
  });

  it('takes what is said before the policy’s own map, and leaves other cameras out', () => {
    const policy = needs(['top'], { renameMap: { [key('front')]: key('top') } });
    expect(matchCameras(policy, set('front', 'side'), {}).datasetKeys).toEqual([key('front')]);
    expect(() => matchCameras(policy, set('front', 'side'), { [key('side')]: key('top') })).toThrow('both become');
    expect(matchCameras(needs(['top']), set('front', 'side'), { [key('side')]: key('top') }).datasetKeys).toEqual([key('side')]);
  });

  it.each([
    ['camera without a match', needs(['top', 'wrist']), set('overhead', 'gripper'), {}, 'no camera for'],
    ['renaming of a camera that is not there', needs(['top']), set('front'), { [key('back')]: key('top') }, 'names no camera of the dataset'],
    ['renaming to a camera that the policy does not take', needs(['top']), set('top'), { [key('top')]: key('camera1') }, 'names no camera of the policy'],
    ['two cameras of one name', needs(['top']), set('top', 'front'), { [key('front')]: key('top') }, 'both become'],
    ['no cameras', needs(['top']), set(), {}, 'no camera for'],
  ])('refuses a %s, listing both sides', (_, policy, dataset, rename, words) => {
    const sides = `policy takes [${policy.cameras.join(', ')}], dataset set has [${dataset.cameras.map((camera) => camera.key).join(', ') || 'no cameras'}]`;
    expect(() => matchCameras(policy, dataset, rename)).toThrow(
      expect.objectContaining({ code: 'CAMERAS_MISMATCH', message: expect.stringMatching(new RegExp(`${words}.*`)) as string }),
    );
    expect(() => matchCameras(policy, dataset, rename)).toThrow(sides);
  });

  it('proposes the likeliest renaming', () => {
    expect(() => matchCameras(needs(['top', 'wrist']), set('gripper_cam', 'overhead'), {})).toThrow(
      expect.objectContaining({
        hint: expect.stringContaining(`--rename ${key('overhead')}=${key('top')} --rename ${key('gripper_cam')}=${key('wrist')}`) as string,
      }),
    );
    expect(() => matchCameras(needs(['camera1', 'camera2', 'camera3']), set('top', 'wrist'), {})).toThrow(
      expect.objectContaining({ hint: expect.stringContaining('"empty_cameras": 1') as string }),
    );
  });
});

describe('proposeRenames', () => {
  it.each([
    [['top', 'wrist'], ['wrist', 'phone'], { phone: 'top' }],
    [['camera1', 'camera2'], ['cam_2', 'cam_1'], { cam_1: 'camera1', cam_2: 'camera2' }],
    [['camera1', 'camera2'], ['front', 'side'], { front: 'camera1', side: 'camera2' }],
    [['laptop', 'phone'], ['laptop', 'top'], { top: 'phone' }],
    [['left_wrist', 'right_wrist', 'top'], ['wrist_right', 'high', 'wrist_left'], { wrist_left: 'left_wrist', wrist_right: 'right_wrist', high: 'top' }],
    [['top'], ['top', 'side'], {}],
  ])('%j from %j', (policy, dataset, expected) => {
    expect(proposeRenames(policy.map(key), dataset.map(key))).toEqual(
      Object.fromEntries(Object.entries(expected).map(([from, to]) => [key(from), key(to)])),
    );
  });
});
