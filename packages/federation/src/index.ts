/**
 * @module
 * Federated rounds that survive crashes: the run engine of a server, the participant of a client. Models and transports are handed in.
 */
export { systemClock, type Clock } from './clock.ts';
export { closeAll } from './close-all.ts';
export { FederationError, type FederationErrorCode } from './errors.ts';
export { silentLog, type FederationLog } from './log.ts';
export { Ledger, type EventChoice, type LedgerEntry, type LedgerRun } from './ledger/ledger.ts';
export { MemoryLedgerStore } from './ledger/memory-ledger-store.ts';
export { MemoryBlobs } from './blobs/memory-blobs.ts';
export type { EngineBlobs } from './blobs/engine-blobs.ts';
export type { LedgerStore, StoredEntry, StoredRun } from './ledger/ledger-store.ts';
export { summarize, type RunSummary } from './ledger/run-summary.ts';
export { LEDGER_VERSION, openSqliteStores, type SqliteStores } from './ledger/sqlite-stores.ts';
export type { Lease, LeaseStore } from './leases/lease-store.ts';
export type { ClientTask, TaskQueue } from './tasks/task-queue.ts';
export { MemoryTaskQueue } from './tasks/memory-task-queue.ts';
export { MemoryPartTable } from './parts/memory-part-table.ts';
export { PartQueue, type AggregationPart, type TakenPart } from './parts/part-queue.ts';
export { partEntrySchema, partKey, type PartEntry, type PartRow, type PartTable } from './parts/part-table.ts';
export { PartWorker, type PartWorkerOptions } from './parts/part-worker.ts';
export type { SharedParts } from './run/round-aggregator.ts';
export type { ClientLine } from './clients/client-lines.ts';
export type { ClientStore, ClientStoreListener, StoredClient } from './clients/client-store.ts';
export type { ClientActivity, ClientDescription, RegisteredClient } from './clients/registered-client.ts';
export { federationEventSchema, type FederationEvent } from './events/federation-event.ts';
export type { Observer } from './observers/observer.ts';
export type { FederatedModel, LocalModel, LocalTask, OpenRunOptions, RunModel, TrainingDefaults } from './model.ts';
export { checkRun, checkStrategy } from './check-strategy.ts';
export { assignmentSchema, encodingIn, fitTaskSchema, type Assignment, type FitTask } from './run/instructions.ts';
export { changeRun } from './run/change-run.ts';
export { namingClient } from './run/naming-client.ts';
export type { OpenedRun } from './run/run-session.ts';
export { ChangeWaiters } from './change-waiters.ts';
export { Coordinator } from './coordinator.ts';
export type { CoordinatorOptions } from './coordinator-options.ts';
export type { ClientStatus, FederationStatus } from './federation-status.ts';
export type { FederationConnection, TransferHooks } from './participant/connection.ts';
export { connectLocally, type LocalServer } from './participant/local-connection.ts';
export { ControlStore } from './participant/control-store.ts';
export { OptimizerStore } from './participant/optimizer-store.ts';
export type { ParticipantLimits } from './participant/check-task.ts';
export { Participant, type ParticipantOptions, type ParticipantStatus } from './participant/participant.ts';
export { Reporter, type LoggedLine, type ReporterOptions } from './participant/reporter.ts';
export type { MemberTrust } from './participant/known-members.ts';
export { ResidualStore } from './participant/residual-store.ts';
export { SecretStore } from './participant/secret-store.ts';
export { publicMessage } from './participant/public-message.ts';
