import { join } from 'node:path';
import { openDataset, type DatasetInspection } from '@zk0/dataset-so100';
import { writeFileAtomic } from '@zk0/storage';
import { renderContactSheet } from './contact-sheet.ts';
import { counted } from './page.ts';
import { jointPanels, renderJointPlots } from './joint-plots.ts';
import { sampleEpisodes } from './samples.ts';

/** Episodes on a contact sheet, and overlaid in a joint plot. */
const SHEET_EPISODES = 8;
const PLOT_EPISODES = 8;

/** How pictures are made. */
export interface PictureOptions {
  readonly cacheDirectory: string;
  readonly signal: AbortSignal;
  readonly onEpisode: (done: number, total: number) => void;
}

/**
 * Writes `contact-sheet.png` (where there are cameras) and `joints.png` into a folder. Returns their paths.
 *
 * @throws DatasetError where the dataset cannot be opened
 */
export async function writePictures(found: DatasetInspection, folder: string, options: PictureOptions): Promise<readonly string[]> {
  const dataset = await openDataset(found.uri, options);
  try {
    const { info } = dataset;
    const detail = `${info.robotType} · ${counted(info.episodes.length, 'episode')}, ${counted(info.frameCount, 'frame')} at ${info.fps} fps`;
    const written: string[] = [];
    const write = async (name: string, png: Uint8Array): Promise<void> => {
      const file = join(folder, name);
      await writeFileAtomic(file, png);
      written.push(file);
    };
    if (info.cameras.length > 0) {
      const sampled = await sampleEpisodes(dataset, SHEET_EPISODES, options);
      const shown = sampled.length < info.episodes.length ? ` · ${counted(sampled.length, 'episode')} shown` : '';
      await write('contact-sheet.png', await renderContactSheet({ name: info.name, detail: detail + shown }, info.cameras, sampled));
    }
    const overlaid = Math.min(PLOT_EPISODES, info.episodes.length);
    const title = { name: info.name, detail: `${detail} · ${counted(overlaid, 'episode')} drawn over each other` };
    await write('joints.png', await renderJointPlots(title, jointPanels(dataset, PLOT_EPISODES)));
    return written;
  } finally {
    await dataset.close();
  }
}
