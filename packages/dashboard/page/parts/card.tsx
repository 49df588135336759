import type { ComponentChildren, JSX } from 'preact';

interface CardProps {
  readonly id: string;
  readonly title: string;
  /** How many of twelve columns it takes where there is room. */
  readonly wide?: 'full' | 'two-thirds' | 'half' | 'third';
  readonly controls?: ComponentChildren;
  readonly children: ComponentChildren;
}

/** A part of the page with its heading. */
export function Card({ id, title, wide = 'full', controls, children }: CardProps): JSX.Element {
  return (
    <section class={`card ${wide}`} aria-labelledby={`${id}-title`} id={id}>
      <div class="card-head">
        <h2 id={`${id}-title`}>{title}</h2>
        {controls !== undefined && <div class="controls">{controls}</div>}
      </div>
      {children}
    </section>
  );
}

/** What stands where there is nothing to show yet. */
export function Empty({ children }: { readonly children: ComponentChildren }): JSX.Element {
  return <p class="empty">{children}</p>;
}

interface ChoiceProps<T extends string> {
  readonly label: string;
  readonly value: T;
  readonly options: readonly (readonly [value: T, name: string])[];
  readonly onChoose: (value: T) => void;
}

/** A few buttons of which one is pressed. */
export function Choice<T extends string>({ label, value, options, onChoose }: ChoiceProps<T>): JSX.Element {
  return (
    <div class="choice" role="group" aria-label={label}>
      {options.map(([option, name]) => (
        <button key={option} type="button" aria-pressed={option === value} onClick={() => { onChoose(option); }}>
          {name}
        </button>
      ))}
    </div>
  );
}

/** A hash in short, that can be copied whole. */
export function Hash({ value }: { readonly value: string }): JSX.Element {
  const copy = (): void => {
    // Where the browser refuses, the whole text is in the title, to be read.
    if ('clipboard' in navigator) navigator.clipboard.writeText(value).catch(() => undefined);
  };
  return (
    <button type="button" class="hash" title={`${value} (copy)`} aria-label={`${value.slice(0, 12)} …, copy the whole hash`} onClick={copy}>
      {value.slice(0, 12)}
    </button>
  );
}
