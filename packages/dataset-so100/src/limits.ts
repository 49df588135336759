/** Bounds on everything a dataset claims, so that a damaged or hostile one fails instead of filling memory (CWE-770). */

/** Largest JSON or JSON-lines file under `meta/`. A 100 000-episode `episodes_stats.jsonl` is about 200 MB. */
export const MAX_META_BYTES = 256 * 2 ** 20;

/** Most episodes in one dataset. The largest public sets have under 100 000. */
export const MAX_EPISODES = 1_000_000;

/** Most frames opened at once: 20 million is 185 hours at 30 fps. */
export const MAX_FRAMES = 20_000_000;

/** Most values of one state or action vector. */
export const MAX_VECTOR_SIZE = 1024;

/** Most bytes of state and action held for an opened dataset. */
export const MAX_ROW_BYTES = 2 * 2 ** 30;

/** Most features in `info.json`. */
export const MAX_FEATURES = 1024;

/** Most distinct tasks, and longest task text. */
export const MAX_TASKS = 100_000;
export const MAX_TASK_LENGTH = 4096;

/** Largest side of a camera image. */
export const MAX_IMAGE_SIDE = 8192;

/** Largest file of one picture, PNG or JPEG: a 4K picture without any compression is 25 MB. */
export const MAX_IMAGE_BYTES = 64 * 2 ** 20;

/** Most bytes of pictures in one column of one data file. */
export const MAX_IMAGE_COLUMN_BYTES = 16 * 2 ** 30;

/** Largest parquet footer. A data file's footer is a few KB; one of `meta/episodes` a few hundred. */
export const MAX_PARQUET_FOOTER_BYTES = 64 * 2 ** 20;

/** Largest column chunk of a parquet file, uncompressed, of the columns that are read. */
export const MAX_PARQUET_CHUNK_BYTES = 2 ** 30;

/** Largest `moov` box of an MP4: about 16 bytes a frame, so over 4 million frames. */
export const MAX_MOOV_BYTES = 64 * 2 ** 20;

/** Most frames of one video whose times are looked at: 18 hours at 30 frames a second. */
export const MAX_TIMED_FRAMES = 2_000_000;

/** Most top-level boxes looked at in an MP4 (a fragmented file has two per fragment). */
export const MAX_MP4_BOXES = 100_000;
