/**
 * @module
 * What starts a program and ends it: commands, errors, exit codes, signals. Without configuration files and their schemas, which cost more
 * time to load than a `--help` takes.
 */
export { addCommands } from './add-commands.ts';
export { quietCommander, type CommandLike } from './commander.ts';
export { loadEnvFile } from './env-file.ts';
export { runCli, serviceExitCode, type RunCliOptions } from './run-cli.ts';
