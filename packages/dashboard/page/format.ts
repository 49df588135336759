import type { ClientMemory } from '../src/model/view.ts';

/** Characters that would break, hide or turn around the text beside them. */
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;

/** Text from other machines with what cannot be seen made visible. */
export function visible(text: string): string {
  return text.replace(UNSAFE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** A setting as text; what is not one value is left out. */
export function settingText(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? visible(String(value)) : '';
}

/** What a machine said, as a sentence. */
export function sentence(text: string): string {
  const shown = visible(text);
  return shown === '' ? '' : `${shown.charAt(0).toUpperCase()}${shown.slice(1)}${/[.!?)]$/.test(shown) ? '' : '.'}`;
}

/** A loss, norm or rate in few digits. */
export function formatNumber(value: number | undefined | null): string {
  if (value === undefined || value === null) return '–';
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(1).replace('e+', 'e');
  if (size >= 1000) return Math.round(value).toLocaleString('en');
  return value.toPrecision(size >= 100 ? 3 : 4).replace(/(\.\d*?)0+$/, '$1').replace(/\.$/, '');
}

/** `1.2 GB`. */
export function formatBytes(bytes: number | undefined): string {
  if (bytes === undefined) return '–';
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toFixed(1)} ${units[unit]!}`;
}

/** What a client says of its memory: `2.4 GB of 32.0 GB; NVIDIA RTX 4070: 9.1 GB of 12.8 GB`. */
export function memoryInWords(memory: ClientMemory | undefined): string {
  if (memory === undefined) return '';
  const of = (part: Omit<ClientMemory, 'gpu'>): string => `${formatBytes(part.memoryBytes)} of ${formatBytes(part.totalMemoryBytes)}`;
  return `${of(memory)}${memory.gpu === undefined ? '' : `; ${visible(memory.gpu.name)}: ${of(memory.gpu)}`}`;
}

/** `48 s`, `3 min 20 s`, `2 h 5 min`, `4 d 3 h`. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, ms / 1000);
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 59.5) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (seconds < 600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** `now`, `12 s ago`, `3 min ago`. */
export function formatAgo(at: number, now: number): string {
  const seconds = Math.round((now - at) / 1000);
  if (seconds < 3) return 'now';
  if (seconds < 100) return `${seconds} s ago`;
  if (seconds < 6000) return `${Math.round(seconds / 60)} min ago`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h ago` : `${Math.round(seconds / 86_400)} d ago`;
}

/** Local time of day, with the date where that is another day. */
export function formatTime(at: number): string {
  const date = new Date(at);
  const time = date.toLocaleTimeString('en-GB');
  return date.toDateString() === new Date().toDateString() ? time : `${date.toLocaleDateString('sv-SE')} ${time}`;
}

/** Plural where there is not exactly one. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
}
