import type { SmolVlaPolicy } from '../policy.ts';

/** Characters of a task text that a sentence about it shows. */
const SHOWN = 60;

/** A sentence for people about every task text that is longer than the policy reads; none where it reads them whole. */
export function describeCutTasks(policy: Pick<SmolVlaPolicy, 'cutTasks'>, tasks: readonly string[]): string[] {
  return policy.cutTasks(tasks).map(({ task, tokens, kept }) => {
    const shown = task.length > SHOWN ? `${task.slice(0, SHOWN)}…` : task;
    return `the task ${JSON.stringify(shown)} has ${tokens} tokens, of which the policy reads the first ${kept}: what is said after them changes nothing`;
  });
}
