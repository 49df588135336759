/**
 * @module
 * What both command lines share: errors as one line, exit codes, signals, progress, configuration, tables.
 */
export { addCommands } from './add-commands.ts';
export { announceReady, detach, isDetached, type Detached } from './background/detach.ts';
export { readLog, type ReadLogOptions } from './background/read-log.ts';
export { replaceFile, runningProcess, stopProcess, writeProcessFile, type ProcessRecord } from './background/process-file.ts';
export { programName } from './background/program-name.ts';
export { checkpointCommand, type CheckpointConverter, type CheckpointForm } from './checkpoint-command.ts';
export { quietCommander, type CommandLike } from './commander.ts';
export { loadConfig, loadConfigFile, type ConfigSources } from './config.ts';
export { loadEnvFile } from './env-file.ts';
export { errorLine } from './error-line.ts';
export { ConfigError, UsageError, type ConfigErrorCode } from './errors.ts';
export { EXIT_CODE, exitCodeOf } from './exit-code.ts';
export { formatBytes, formatDuration } from './format.ts';
export { relaxGarbageCollection } from './garbage-collection.ts';
export { describeTrainingCost, LONG_TRAINING_SECONDS } from './training-cost.ts';
export {
  describeFindings,
  diskSpaceCheck,
  reportHealth,
  runHealthChecks,
  type Attention,
  type HealthCheck,
  type HealthFinding,
} from './health-checks.ts';
export { zk0Home } from './home.ts';
export { nearestName, suggestion } from './nearest-name.ts';
export {
  createProgress,
  type Progress,
  type ProgressOptions,
  type ProgressState,
  type ProgressStream,
} from './progress.ts';
export { showPhases, type Phase } from './phase-progress.ts';
export { parseRenames, readRecordingOptions, withRecordingOptions, withRenameOption, withUnitsOption, type RecordingOptions } from './recording-options.ts';
export { runCli, serviceExitCode, type RunCliOptions } from './run-cli.ts';
export { dottedPaths, isKnownPath } from './schema-keys.ts';
export { stopWithParent } from './stop-with-parent.ts';
export { table, type TableColumn } from './table.ts';
export { fitText, printable, textWidth, wrapText } from './text-width.ts';
export { readTls, withTlsOptions, type TlsMaterial } from './tls-options.ts';
export { parseBytes } from './parse-bytes.ts';
export { parseDuration } from './parse-duration.ts';
export { parseWholeNumber } from './parse-whole-number.ts';
