import * as z from 'zod';

/** Lines of one report. */
export const MAX_REPORT_LINES = 50;
/** Characters of one line, in UTF-16 units. */
export const MAX_REPORT_LINE_CHARS = 1000;
const MAX_AGE_MS = 24 * 3600_000;

const bytes = z.int().min(0);

/** A line of a client's log, as the client sends it to the server. */
export const reportedLineSchema = z.strictObject({
  /** How long ago it was written, in ms by the client's clock: the clocks of two machines need not agree. */
  ageMs: z.int().min(0).max(MAX_AGE_MS),
  level: z.enum(['debug', 'info', 'warn', 'error']),
  message: z.string().max(MAX_REPORT_LINE_CHARS),
  round: z.int().min(0).optional(),
});
export type ReportedLine = z.infer<typeof reportedLineSchema>;

/** Memory of a client's machine at the moment, in bytes. */
export const clientResourcesSchema = z.strictObject({
  /** Resident memory of the client's process. */
  memoryBytes: bytes,
  /** Memory of the machine. */
  totalMemoryBytes: bytes,
  /** The graphics processor that the client trains on, where its driver says how much memory is taken. */
  gpu: z.strictObject({ name: z.string().max(100), memoryBytes: bytes, totalMemoryBytes: bytes }).optional(),
});
export type ClientResources = z.infer<typeof clientResourcesSchema>;

/** What a client reports beside its work: lines of its log, and the memory that it uses. Nothing depends on it. */
export const reportMessageSchema = z.strictObject({
  lines: z.array(reportedLineSchema).max(MAX_REPORT_LINES).optional(),
  /** Lines that the client left out since its last report, because there were too many of them. */
  leftOut: z.int().min(0).optional(),
  resources: clientResourcesSchema.optional(),
});
export type ReportMessage = z.infer<typeof reportMessageSchema>;
