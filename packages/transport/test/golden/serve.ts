/** Serves what a client in another language is recorded against (README.md beside this file). Ends with Ctrl-C. */
import { Scope } from '../harness.ts';
import { startFixedServer } from './fixed-server.ts';

const scope = new Scope();
const { server } = await startFixedServer(scope, Number(process.argv[2] ?? 0));
process.stdout.write(`${server.url}\n`);
process.once('SIGINT', () => void scope.dispose());
process.once('SIGTERM', () => void scope.dispose());
