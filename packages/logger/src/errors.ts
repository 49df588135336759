import { Zk0Error, type Zk0ErrorOptions } from '@zk0/core';

/** A log file cannot be opened for appending: its folder is missing and cannot be made, or permissions forbid it. */
export class LogFileError extends Zk0Error {
  declare readonly code: 'LOG_FILE_UNWRITABLE';
  readonly path: string;

  constructor(path: string, options: Zk0ErrorOptions = {}) {
    super('LOG_FILE_UNWRITABLE', `the log file ${path} cannot be opened for appending`, {
      hint: 'Check that the folder exists and may be written, or choose another one',
      ...options,
    });
    this.path = path;
  }
}
