import { readFileSync } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';

/** Where the reporter of the tests leaves their outcome, in the repository's root. */
export const OUTCOME_FILE = '.vitest-outcome.json';

/** Lines at the end of the log that name tests. The tools that show the end of a log show about this many. */
const MOST_LINES = 20;
const DEFAULT_WIDTH = 160;

/**
 * @typedef {object} Incident
 * @property {string} test file, groups, and name of the test
 * @property {string} error the first line of the error
 *
 * @typedef {object} Outcome
 * @property {number} passed
 * @property {number} failed tests, files that did not load, hooks of groups, and errors outside of all tests
 * @property {readonly Incident[]} failures
 * @property {readonly Incident[]} flaky tests that failed and then passed on the second try
 */

/**
 * @param {string} file
 * @returns {Outcome} nothing passed and nothing failed where the tests did not get so far
 */
export function readOutcome(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return { passed: 0, failed: 0, failures: [], flaky: [] };
  }
}

/**
 * The lines that name what failed and what passed on the second try only: at most 20, each within `width`.
 *
 * @param {Pick<Outcome, 'failures' | 'flaky'>} outcome
 * @param {number} [width] columns of the terminal
 * @returns {string[]}
 */
export function incidentLines({ failures, flaky }, width = DEFAULT_WIDTH) {
  const lines = [...failures.map((one) => describe('failed', one)), ...flaky.map((one) => describe('flaky', one))];
  const shown = lines.length > MOST_LINES ? lines.slice(0, MOST_LINES - 1) : lines;
  const more = lines.length - shown.length;
  return [...shown, ...(more > 0 ? [`and ${more} more, which the log above names`] : [])].map((line) => cut(line, width));
}

/**
 * @param {string} what
 * @param {Incident} incident
 */
function describe(what, { test, error }) {
  return stripVTControlCharacters(`${what} ${test}: ${error}`).replace(/\s+/g, ' ');
}

/**
 * @param {string} line
 * @param {number} width
 */
function cut(line, width) {
  return line.length <= width ? line : `${line.slice(0, Math.max(0, width - 1))}…`;
}
