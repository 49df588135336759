/** Attacks a server: `npx nx attack transport`, or with another number and seed: `… -- 5000 7`. Ends with 1 when anything got through. */
import { attack } from './run.ts';

const [count = 100_000, seed = 1] = process.argv.slice(2).map(Number);
const { accepted, ...report } = await attack(count, seed, (sent) => process.stderr.write(`${sent} of ${count}\r`));
process.stdout.write(`${JSON.stringify({ ...report, accepted: accepted.length }, null, 2)}\n`);
for (const { kind, bytes } of accepted.slice(0, 10)) process.stdout.write(`ACCEPTED ${kind}\n${bytes.toString('latin1').slice(0, 600)}\n`);
process.exitCode = accepted.length > 0 || report.foreignCalls > 0 || report.defects.length > 0 || report.honest !== report.honestAnswered ? 1 : 0;
