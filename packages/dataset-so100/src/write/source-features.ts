import { z } from 'zod';
import { parseInfo } from '../format/info.ts';
import { DatasetFolder } from '../format/path-template.ts';
import { parsePythonJson, readText } from '../format/text-files.ts';
import { DatasetWriteError } from './errors.ts';
import { INDEX_FEATURES } from './layout.ts';

/** What a writer needs of a dataset's `info.json` and a reader does not. */
export interface SourceFeatures {
  /** Features that a v3.0 dataset as written here has no columns for. */
  readonly leftOut: readonly string[];
  /** By camera, where the recorder noted it. */
  readonly pixelFormats: ReadonlyMap<string, string>;
}

const videoDetails = z.looseObject({ 'video.pix_fmt': z.string().max(32).nullish() }).nullish();
const rawFeatures = z.record(z.string(), z.looseObject({ info: videoDetails, video_info: videoDetails }));

/**
 * Finds what of a dataset can be written as v3.0.
 *
 * @throws DatasetWriteError `DATASET_NOT_CONVERTIBLE` for what must not get lost silently
 */
export async function sourceFeatures(root: string): Promise<SourceFeatures> {
  const folder = await DatasetFolder.open(root);
  const infoFile = await folder.resolve('meta/info.json');
  const json = parsePythonJson(await readText(infoFile), infoFile);
  const info = parseInfo(json, infoFile);
  const unsafe = info.cameras.find(({ key }) => !/^\w[\w.-]*$/.test(key));
  if (unsafe !== undefined) {
    throw new DatasetWriteError('DATASET_NOT_CONVERTIBLE', `Camera name ${JSON.stringify(unsafe.key)} is no folder name`, {
      hint: 'Rename it in meta/info.json of a copy of the dataset.',
    });
  }
  const parsed = z.looseObject({ features: rawFeatures }).safeParse(json);
  const features = Object.entries(parsed.success ? parsed.data.features : {});
  const kept = new Set([info.state.key, info.action.key, ...info.cameras.map(({ key }) => key), ...INDEX_FEATURES]);
  const pixelFormats = features.flatMap(([key, feature]) => {
    const format = feature.info?.['video.pix_fmt'] ?? feature.video_info?.['video.pix_fmt'];
    return format == null ? [] : [[key, format] as const];
  });
  return {
    leftOut: features.map(([key]) => key).filter((key) => key !== 'timestamp' && !kept.has(key)),
    pixelFormats: new Map(pixelFormats),
  };
}
