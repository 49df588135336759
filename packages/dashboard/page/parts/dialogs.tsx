import { signal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

/** Something that is asked before it is done. */
export interface Question {
  readonly title: string;
  readonly text: ComponentChildren;
  /** What the button says. */
  readonly does: string;
  readonly isGrave?: boolean;
  /** There is nothing to be decided. */
  readonly isNotice?: boolean;
  readonly act: (form: FormData) => Promise<unknown>;
}

const question = signal<Question | null>(null);
/** What was done last, read out and shown for a while. */
const notice = signal<string>('');

/** Asks before something is done. */
export function confirm(asked: Question): void {
  question.value = asked;
}

/** Says what was done. */
export function announce(text: string): void {
  notice.value = text;
  setTimeout(() => {
    if (notice.value === text) notice.value = '';
  }, 6000);
}

/** The question that is open, and the newest notice. */
export function Dialogs(): JSX.Element {
  return (
    <>
      <div class={notice.value === '' ? 'notice' : 'notice shown'} role="status">{notice.value}</div>
      {question.value !== null && <Asked key={question.value.title} {...question.value} />}
    </>
  );
}

function Asked({ title, text, does, isGrave, isNotice, act }: Question): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);
  useEffect(() => { dialog.current?.showModal(); }, []);
  const close = (): void => { question.value = null; };
  const submit = (event: Event): void => {
    event.preventDefault();
    setBusy(true);
    setFailure(null);
    act(new FormData(event.currentTarget as HTMLFormElement))
      .then(close)
      .catch((error: unknown) => { setFailure(error instanceof Error ? error.message : String(error)); })
      .finally(() => { setBusy(false); });
  };
  return (
    <dialog ref={dialog} aria-labelledby="dialog-title" onClose={close}>
      <form onSubmit={submit}>
        <h2 id="dialog-title">{title}</h2>
        {text}
        {failure !== null && <p class="failure" role="alert">{failure}</p>}
        <div class="buttons">
          {isNotice !== true && <button type="button" onClick={close}>Cancel</button>}
          <button type="submit" class={isGrave === true ? 'grave' : 'primary'} disabled={isBusy}>{does}</button>
        </div>
      </form>
    </dialog>
  );
}
