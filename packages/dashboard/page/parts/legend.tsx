import type { ComponentChildren, JSX } from 'preact';

interface LegendItem {
  readonly name: string;
  readonly colour: string;
  readonly value?: string;
  readonly isThin?: boolean;
}

/** What the colours of a chart mean, with the values at the point that is pointed at. */
export function Legend({ items, where }: { readonly items: readonly LegendItem[]; readonly where?: ComponentChildren }): JSX.Element {
  return (
    <ul class="legend">
      {items.map(({ name, colour, value, isThin }) => (
        <li key={name}>
          <svg width="18" height="8" aria-hidden="true">
            <line x1="0" y1="4" x2="18" y2="4" class={colour.slice(2)} stroke-width={isThin === true ? 1.5 : 3} />
          </svg>
          <bdi>{name}</bdi>
          {value !== undefined && <b>{value}</b>}
        </li>
      ))}
      {where !== undefined && <li class="where">{where}</li>}
    </ul>
  );
}

interface Column {
  readonly header: string;
  readonly cell: (index: number) => string;
}

/** A chart's values for those who want to read them. */
export function ValuesTable({ of, count, columns }: { readonly of: string; readonly count: number; readonly columns: readonly Column[] }): JSX.Element {
  const shown = Math.min(count, 200);
  const rows = Array.from({ length: shown }, (_, index) => count - 1 - index);
  return (
    <details class="values">
      <summary>Values as a table</summary>
      <div class="scroll" tabIndex={0} role="region" aria-label={`Values of ${of}`}>
        <table>
          <thead>
            <tr>{columns.map(({ header }) => <th key={header} scope="col">{header}</th>)}</tr>
          </thead>
          <tbody>
            {rows.map((row) => <tr key={row}>{columns.map(({ header, cell }) => <td key={header}>{cell(row)}</td>)}</tr>)}
          </tbody>
        </table>
      </div>
    </details>
  );
}
