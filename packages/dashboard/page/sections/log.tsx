import { computed, signal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { LogLevel, LogLine } from '../../src/model/view.ts';
import { counted, formatTime, visible } from '../format.ts';
import { Card, Empty } from '../parts/card.tsx';
import { logLines } from '../state.ts';

const LEVELS: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error'];

const lowest = signal<LogLevel>('info');
const from = signal('');
const search = signal('');
const follows = signal(true);

const all: { readonly value: readonly LogLine[] } = logLines;
const processes = computed(() => [...new Set(all.value.map(({ process }) => process))].sort());
const shown = computed(() => {
  const words = search.value.trim().toLowerCase();
  const least = LEVELS.indexOf(lowest.value);
  return all.value.filter(
    ({ level, process, message }) => LEVELS.indexOf(level) >= least && (from.value === '' || process === from.value) && (words === '' || message.toLowerCase().includes(words)),
  );
});

/** The newest lines of the log. */
export function Log(): JSX.Element {
  const box = useRef<HTMLOListElement>(null);
  const { value: lines } = shown;
  useEffect(() => {
    if (follows.value && box.current !== null) box.current.scrollTop = box.current.scrollHeight;
  });
  const onScroll = (): void => {
    const { scrollTop, clientHeight, scrollHeight } = box.current!;
    follows.value = scrollTop + clientHeight > scrollHeight - 20;
  };
  const controls = (
    <>
      <label>Level <select value={lowest.value} onChange={(event) => (lowest.value = event.currentTarget.value as LogLevel)}>
        {LEVELS.map((level) => <option key={level} value={level}>{level === 'warn' ? 'warning' : level}{level === 'error' ? '' : ' and above'}</option>)}
      </select></label>
      {processes.value.length > 1 && <label>From <select value={from.value} onChange={(event) => (from.value = event.currentTarget.value)}>
        <option value="">all</option>
        {processes.value.map((process) => <option key={process} value={process}>{visible(process)}</option>)}
      </select></label>}
      <input type="search" class="search" placeholder="Text" aria-label="Search the log" value={search.value} onInput={(event) => (search.value = event.currentTarget.value)} />
      <label class="check"><input type="checkbox" checked={follows.value} onChange={(event) => (follows.value = event.currentTarget.checked)} /> Follow</label>
    </>
  );
  return (
    <Card id="log" title="Log" controls={controls}>
      {lines.length === 0 && <Empty>{all.value.length === 0 ? 'Nothing yet. The page shows lines from the start of the server on.' : 'No line passes the filter.'}</Empty>}
      <ol class="log" hidden={lines.length === 0} ref={box} onScroll={onScroll} tabIndex={0} aria-label={`Log, ${counted(lines.length, 'line')}`}>
        {lines.map(({ id, at, level, process, message }) => (
          <li key={id} class={level}>
            <time>{formatTime(at)}</time> <span class="level">{level === 'warn' ? 'warning' : level}</span> <span class="process">{visible(process)}</span> <bdi>{visible(message)}</bdi>
          </li>
        ))}
      </ol>
    </Card>
  );
}
