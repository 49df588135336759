import type { EpisodeFacts } from './check-rows.ts';
import type { FrameTable } from '../read/frame-table.ts';
import type { Recording } from '../read/recording.ts';
import type { Findings } from './findings.ts';

/** How parquet stores what `info.json` declares; a map, since a file may declare `__proto__`. */
const STORED_AS = new Map<string, readonly string[]>(Object.entries({
  float16: ['FIXED_LEN_BYTE_ARRAY'],
  float32: ['FLOAT'],
  float64: ['DOUBLE'],
  int64: ['INT64'],
  int32: ['INT32'],
  int16: ['INT32'],
  int8: ['INT32'],
  uint8: ['INT32'],
  bool: ['BOOLEAN'],
  string: ['BYTE_ARRAY'],
}));

/** Compares the columns of data files with what `info.json` declares, and with those of the first file. One for each dataset. */
export class SchemaCheck {
  readonly #recording: Recording;
  readonly #findings: Findings;
  readonly #seen = new Set<string>();
  #first: FrameTable | null = null;

  constructor(recording: Recording, findings: Findings) {
    this.#recording = recording;
    this.#findings = findings;
    for (const { key, size, nameCount } of recording.info.columns) {
      if (nameCount === null || nameCount === size) continue;
      findings.add('warning', 'SCHEMA', `meta/info.json gives "${key}" ${nameCount} names and ${size} values.`);
    }
  }

  /** Looks at a data file, once. */
  look(table: FrameTable): void {
    if (this.#seen.has(table.path)) return;
    this.#seen.add(table.path);
    const where = { file: table.path };
    if (this.#first === null) {
      this.#first = table;
      for (const { key, dtype } of this.#recording.info.columns) {
        const stored = Object.hasOwn(table.columnTypes, key) ? table.columnTypes[key] : undefined;
        const expected = STORED_AS.get(dtype);
        if (stored === undefined) this.#findings.add('warning', 'SCHEMA', `meta/info.json declares "${key}", of which ${table.path} has no column.`, where);
        else if (expected?.includes(stored) === false) {
          this.#findings.add('info', 'SCHEMA', `meta/info.json declares "${key}" as ${dtype}; ${table.path} stores ${stored}.`, where);
        }
      }
      return;
    }
    const [expected, found] = [this.#first.columnTypes, table.columnTypes];
    for (const key of new Set([...Object.keys(expected), ...Object.keys(found)])) {
      if (expected[key] === found[key]) continue;
      const what = found[key] === undefined ? `has no column "${key}", other files do` : expected[key] === undefined ? `has a column "${key}", other files do not` : `stores "${key}" as ${found[key]}, other files as ${expected[key]}`;
      this.#findings.add('warning', 'SCHEMA', `${table.path} ${what}.`, where);
    }
  }
}

/** Reports rows that are not numbered through, and episodes whose share of the rows is not what `meta/episodes` says. */
export function checkIndex({ episodes }: Recording, facts: readonly EpisodeFacts[], findings: Findings): void {
  const readable = new Map(facts.map((fact) => [fact.episode.episodeIndex, fact]));
  let next = 0;
  let isTold = false;
  for (const { episodeIndex, length, indexSpan } of episodes) {
    const { index = null, file } = readable.get(episodeIndex) ?? {};
    const where = { episode: episodeIndex, ...(file === undefined ? {} : { file }) };
    if (indexSpan != null && (indexSpan[1] - indexSpan[0] !== length || indexSpan[0] !== next)) {
      findings.add('warning', 'COUNTS', `Episode ${episodeIndex}: meta/episodes gives it rows ${indexSpan[0]} to ${indexSpan[1]}; they are ${next} to ${next + length}.`, where);
    }
    const from = next;
    next += length;
    if (index === null || isTold || facts.length < episodes.length) continue;
    const at = index.findIndex((value, k) => value !== from + k);
    if (at === -1) continue;
    isTold = true;
    findings.add('info', 'INDEX', `Episode ${episodeIndex}: the column "index" says ${index[at]!} where row ${from + at} of the dataset is; rows are found by episode and frame.`, where);
  }
}
