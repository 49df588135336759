import type { JSX } from 'preact';
import { announce, confirm } from '../parts/dialogs.tsx';
import { ask } from '../server.ts';
import { chooseRun, run } from '../state.ts';

type Json = Readonly<Record<string, unknown>>;

/** Settings with a field of their own; the others are one text. */
const NUMBERS = [
  ['rounds', 'Rounds', 'How many; 20 unless given'],
  ['minClients', 'Fewest clients', 'A round needs as many updates; 2 unless given'],
  ['seed', 'Seed', '42 unless given'],
  ['localSteps', 'Local steps', 'The policy’s own unless given'],
  ['batchSize', 'Batch size', 'The policy’s own unless given'],
  ['learningRate', 'Learning rate', 'The policy’s own unless given'],
] as const;
const OWN_FIELDS: ReadonlySet<string> = new Set([...NUMBERS.map(([name]) => name), 'policy', 'heldOut']);

/** Asks for the settings of a new run, beginning with those of the run that is shown. */
export function askForRun(): void {
  const config = run.value?.config ?? {};
  confirm({
    title: 'New run',
    does: 'Submit',
    text: <Fields config={config} />,
    act: async (form) => {
      const { runId } = await ask('POST', '/page/act/submit', { config: settingsOf(form) });
      announce(`Run ${String(runId)} is submitted.`);
      chooseRun(null);
    },
  });
}

function Fields({ config }: { readonly config: Json }): JSX.Element {
  const text = (value: unknown): string => (typeof value === 'string' || typeof value === 'number' ? String(value) : '');
  const heldOut = Array.isArray(config['heldOut']) ? config['heldOut'].map(String).join('\n') : '';
  const rest = Object.fromEntries(Object.entries(config).filter(([name]) => !OWN_FIELDS.has(name)));
  return (
    <div class="fields">
      <label class="field wide">Policy <input name="policy" value={text(config['policy'])} placeholder="small" /></label>
      {NUMBERS.map(([name, label, hint]) => (
        <label class="field" key={name}>
          {label}
          <input name={name} value={text(config[name])} inputMode="decimal" aria-describedby={`${name}-hint`} />
          <small id={`${name}-hint`}>{hint}</small>
        </label>
      ))}
      <label class="field wide">Held-out datasets, one a line <textarea name="heldOut" rows={2} placeholder="demo:ball-to-mat">{heldOut}</textarea></label>
      <label class="field wide">Other settings, as JSON <textarea name="rest" rows={5} spellcheck={false} placeholder={'{ "strategy": { "name": "fedavg" } }'}>{Object.keys(rest).length === 0 ? '' : JSON.stringify(rest, null, 2)}</textarea></label>
    </div>
  );
}

/** @throws Error that says which field is none. */
function settingsOf(form: FormData): Json {
  const field = (name: string): string => {
    const value = form.get(name);
    return typeof value === 'string' ? value.trim() : '';
  };
  const settings: Record<string, unknown> = { ...otherSettings(field('rest')) };
  if (field('policy') !== '') settings['policy'] = field('policy');
  for (const [name, label] of NUMBERS) {
    if (field(name) === '') continue;
    const value = Number(field(name));
    if (!Number.isFinite(value)) throw new Error(`${label} must be a number.`);
    settings[name] = value;
  }
  const heldOut = field('heldOut').split('\n').map((line) => line.trim()).filter((line) => line !== '');
  if (heldOut.length > 0) settings['heldOut'] = heldOut;
  return settings;
}

function otherSettings(text: string): Json {
  if (text === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`The other settings are not JSON: ${error instanceof Error ? error.message : String(error)}.`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('The other settings must be one JSON object.');
  return value as Json;
}
