import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

/** Rows beyond the visible ones on either side, so that scrolling shows no gaps. */
const MARGIN = 6;

interface VirtualListProps<T> {
  readonly label: string;
  readonly items: readonly T[];
  readonly keyOf: (item: T) => string;
  /** Height of every row in CSS pixels. */
  readonly rowHeight: number;
  readonly maxHeight: number;
  readonly columns: number;
  /** The row with the column names; scrolls with the rows sideways, not up. */
  readonly head?: ComponentChildren;
  readonly row: (item: T) => ComponentChildren;
  readonly class?: string;
}

/** A table of which only the rows in view exist. Readers are told how many there are. */
export function VirtualList<T>({ label, items, keyOf, rowHeight, maxHeight, columns, head, row, class: name = '' }: VirtualListProps<T>): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const visible = Math.ceil(maxHeight / rowHeight);
  const first = Math.max(0, Math.min(Math.floor(top / rowHeight) - MARGIN, items.length - visible - MARGIN));
  const last = Math.min(items.length, first + visible + 2 * MARGIN);
  useEffect(() => {
    const element = box.current!;
    const onScroll = (): void => { setTop(element.scrollTop); };
    element.addEventListener('scroll', onScroll, { passive: true });
    return () => { element.removeEventListener('scroll', onScroll); };
  }, []);
  const offset = head === undefined ? 0 : 1;
  return (
    <div class={`virtual ${name}`} ref={box} tabIndex={0} role="table" aria-label={label} aria-rowcount={items.length + offset} aria-colcount={columns} style={{ maxHeight: `${maxHeight}px` }}>
      {head}
      <div class="virtual-body" role="rowgroup" style={{ height: `${items.length * rowHeight}px` }}>
        {items.slice(first, last).map((item, index) => (
          <div
            key={keyOf(item)}
            role="row"
            class="row"
            aria-rowindex={first + index + 1 + offset}
            style={{ height: `${rowHeight}px`, transform: `translateY(${(first + index) * rowHeight}px)` }}
          >
            {row(item)}
          </div>
        ))}
      </div>
    </div>
  );
}
