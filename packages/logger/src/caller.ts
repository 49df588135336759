/** Where a log call was made. */
export interface CallSite {
  readonly module: string;
  readonly function: string;
  readonly line: number;
}

const UNKNOWN: CallSite = { module: '?', function: '?', line: 0 };

// "    at Engine.closeRound (file:///app/engine.ts:12:5)" or "    at file:///app/main.ts:3:1"
const FRAME = /^\s*at (?:(?:async )?(?:new )?(?<name>.+?) \()?(?<file>[^()]+?):(?<line>\d+):\d+\)?$/;

/** Reads one line of a V8 stack trace. */
export function parseFrame(frame: string): CallSite {
  const groups = FRAME.exec(frame)?.groups;
  if (groups === undefined) return UNKNOWN;
  const file = (groups['file'] ?? '').split(/[\\/]/).at(-1) ?? '';
  const name = (groups['name'] ?? '').split('.').at(-1) ?? '';
  return {
    module: file.replace(/\.[cm]?[jt]s(?:\?.*)?$/, '') || '?',
    function: name === '' || name === '<anonymous>' ? '<module>' : name.replace(/ \[as .*$/, ''),
    line: Number(groups['line']),
  };
}

/**
 * The place that called `entry`, a function now on the stack. Frames of `entry` and below it are left out by V8
 * itself, so this stays right however the logger is bundled.
 */
// eslint-disable-next-line @typescript-eslint/no-unsafe-function-type -- V8 compares identity only; any function will do
export function callSite(entry: Function): CallSite {
  const limit = Error.stackTraceLimit;
  const holder: { stack?: string } = {};
  Error.stackTraceLimit = 1;
  try {
    Error.captureStackTrace(holder, entry);
  } finally {
    Error.stackTraceLimit = limit;
  }
  const frame = holder.stack?.split('\n')[1];
  return frame === undefined ? UNKNOWN : parseFrame(frame);
}
