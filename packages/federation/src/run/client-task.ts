import type { RunState, Task } from '@zk0/core';
import type { ClientTask } from '../tasks/task-queue.ts';
import { fitTaskSchema, type FitTask } from './instructions.ts';
import { publishedParameters } from './publish-parameters.ts';
import { isWaitedFor, sharesFor, stageTask } from './secure/tasks.ts';

type UnderWay = NonNullable<RunState['underWay']> extends ReadonlyMap<string, infer T> ? T : never;

/** The tasks of those who have not answered yet. */
export function openTasks(state: RunState, deadline: number): ClientTask[] {
  return [...state.rounds.at(-1)!.participants.keys()].flatMap((clientId) => clientTask(state, clientId, deadline) ?? []);
}

/** What a client has to do in the round that is open: of this round, or of an earlier one that it goes on with; `null`: nothing more. */
export function clientTask(state: RunState, clientId: string, deadline: number): ClientTask | null {
  const round = state.rounds.at(-1)!;
  const participant = round.participants.get(clientId);
  if (participant === undefined || !isWaitedFor(round, clientId)) return null;
  const step = stageTask(state, clientId);
  if (step !== null) return { clientId, task: taskWith(state, round.round, { ...step, clientId, deadline, parameters: publishedParameters(state) }) };
  const { instructions, task = { round: round.round, parameters: publishedParameters(state) } } = participant;
  return taskUnderWay(state, { instructions, task }, clientId, deadline);
}

/** The task of a client that trains while no round is open. */
export function taskUnderWay(state: RunState, { instructions, task: { round, parameters } }: UnderWay, clientId: string, deadline: number): ClientTask {
  const inbox = sharesFor(state.rounds.at(-1)!, clientId);
  const task: FitTask = fitTaskSchema.parse({ context: (state.context?.['run'] ?? state.context), ...instructions, ...(inbox !== null && { inbox }) });
  return { clientId, task: taskWith(state, round, { kind: 'fit', name: null, instructions: task, clientId, deadline, parameters }) };
}

function taskWith(
  { runId }: RunState,
  round: number,
  { kind, name, instructions, clientId, deadline, parameters }: Pick<Task, 'kind' | 'instructions' | 'parameters'> & { readonly name: string | null; readonly clientId: string; readonly deadline: number },
): Task {
  return {
    taskId: [runId, round, clientId, ...(name === null ? [] : [name])].join('/'),
    runId,
    round,
    kind,
    attempt: 1,
    parameters,
    instructions,
    deadline: new Date(deadline).toISOString(),
  };
}
