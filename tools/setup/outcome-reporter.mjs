import { writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { OUTCOME_FILE } from './outcome.mjs';

/** @import { TestModule, Vitest } from 'vitest/node' */
/** @import { Incident, Outcome } from './outcome.mjs' */

/**
 * A reporter for vitest that writes what `npm test` ends with: how many tests passed, which failed, and which passed on a
 * second try only.
 */
export default class OutcomeReporter {
  /** @type {Vitest | undefined} */
  #vitest;

  /** @param {Vitest} vitest */
  onInit(vitest) {
    this.#vitest = vitest;
  }

  /**
   * @param {readonly TestModule[]} modules
   * @param {readonly { name?: string, message?: string }[]} unhandled errors that no test has caught
   */
  onTestRunEnd(modules, unhandled) {
    const root = this.#vitest?.config.root ?? process.cwd();
    writeFileSync(join(root, OUTCOME_FILE), JSON.stringify(outcomeOf(root, modules, unhandled)));
  }
}

/**
 * @param {string} root of the repository
 * @param {readonly TestModule[]} modules
 * @param {readonly { name?: string, message?: string }[]} unhandled
 * @returns {Outcome}
 */
function outcomeOf(root, modules, unhandled) {
  /** @type {Incident[]} */
  const failures = [];
  /** @type {Incident[]} */
  const flaky = [];
  let passed = 0;
  let failed = 0;
  for (const module of modules) {
    const file = relative(root, module.moduleId);
    // A file that does not load, and a hook around several tests that fails, have no failed test to their name.
    for (const group of [module, ...module.children.allSuites()]) {
      const [error] = group.errors();
      if (error === undefined) continue;
      failed += 1;
      failures.push({ test: group.type === 'suite' ? `${file} > ${group.fullName}` : file, error: firstLine(error) });
    }
    for (const test of module.children.allTests()) {
      const { state, errors } = test.result();
      const incident = { test: `${file} > ${test.fullName}`, error: firstLine(errors?.[0]) };
      if (state === 'failed') {
        failed += 1;
        failures.push(incident);
      } else if (state === 'passed') {
        passed += 1;
        if (test.diagnostic()?.flaky === true) flaky.push(incident);
      }
    }
  }
  for (const error of unhandled) {
    failed += 1;
    failures.push({ test: 'an error outside of all tests', error: firstLine(error) });
  }
  return { passed, failed, failures, flaky };
}

/** @param {{ name?: string, message?: string } | undefined} error */
function firstLine(error) {
  const text = error?.message ?? error?.name ?? 'no error is known';
  return text.split('\n').find((line) => line.trim() !== '')?.trim() ?? text;
}
