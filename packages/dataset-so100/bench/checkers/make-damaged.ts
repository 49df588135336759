import { cp, mkdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { DAMAGES, type Damage } from './damages.ts';
import { soundEpisodes, writeSet } from './sound-set.ts';

/** A set on the disk, sound or with one kind of damage. */
export interface TriedSet {
  readonly name: string;
  readonly root: string;
}

/** Makes the sound set and one damaged copy for each kind, in a folder; what is there already is kept. The same seed makes the same sets. */
export async function makeDamaged(folder: string, seed = 'checkers'): Promise<readonly TriedSet[]> {
  await mkdir(folder, { recursive: true });
  const sound = path.join(folder, 'sound');
  if (!(await isThere(sound))) await writeSet(sound, soundEpisodes(seed));
  const sets: TriedSet[] = [{ name: 'nothing: the sound set', root: sound }];
  for (const [i, damage] of DAMAGES.entries()) {
    const root = path.join(folder, `damage-${String(i).padStart(2, '0')}`);
    if (!(await isThere(root))) await make(root, damage, sound, seed);
    sets.push({ name: damage.name, root });
  }
  return sets;
}

async function make(root: string, damage: Damage, sound: string, seed: string): Promise<void> {
  if ('episodes' in damage) {
    const episodes = soundEpisodes(seed);
    damage.episodes(episodes);
    await writeSet(root, episodes);
    return;
  }
  await cp(sound, root, { recursive: true });
  await damage.files(root);
}

async function isThere(root: string): Promise<boolean> {
  return (await stat(root).catch(() => null)) !== null;
}
