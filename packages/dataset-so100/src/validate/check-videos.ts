import type { EpisodeRecord } from '../format/episodes.ts';
import type { Recording } from '../read/recording.ts';
import { checkVideo, neededVideos, type VideoFile } from '../read/videos.ts';
import type { Findings } from './findings.ts';

/** Checks every video file without decoding. Returns those that are sound, by path inside the dataset. */
export async function checkVideoFiles(
  recording: Recording,
  episodes: readonly EpisodeRecord[],
  findings: Findings,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, VideoFile>> {
  const sound = new Map<string, VideoFile>();
  const claimed = new Map(recording.info.cameras.map((camera) => [camera.key, camera]));
  for (const [file, need] of neededVideos(recording, episodes)) {
    signal?.throwIfAborted();
    try {
      const video = await checkVideo(recording, file, need);
      sound.set(file, video);
      const { height, width, frameCount } = video.summary;
      const where = { file: video.path, camera: need.camera };
      const camera = claimed.get(need.camera)!;
      if (camera.height !== height || camera.width !== width) {
        const message = `${video.path} has images of ${height}×${width}; meta/info.json says ${camera.height}×${camera.width}.`;
        findings.add('warning', 'CAMERA_SIZE', message, where);
      }
      if (frameCount > need.frames) {
        const message = `${video.path} holds ${frameCount} frames, ${frameCount - need.frames} more than its rows.`;
        findings.add('info', 'COUNTS', message, where);
      }
    } catch (error) {
      findings.addError(error);
    }
  }
  return sound;
}
