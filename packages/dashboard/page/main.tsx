import { render } from 'preact';
import { App } from './app.tsx';
import { follow } from './connection.ts';
import { ask } from './server.ts';
import { applyTheme, canLogOut, startClock } from './state.ts';

applyTheme();
startClock();
const root = document.getElementById('page')!;
root.replaceChildren();
render(<App />, root);
void follow();
void ask('GET', '/page/session').then(
  ({ needsToken, operator }) => (canLogOut.value = needsToken === true && operator === true),
  // The connection's own trouble is shown by the connection.
  () => undefined,
);
