import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { goOn } from '../connection.ts';
import { ask } from '../server.ts';
import { canLogOut } from '../state.ts';

/** Asks for the operators' token. */
export function Login(): JSX.Element {
  const [failure, setFailure] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);
  const submit = (event: Event): void => {
    event.preventDefault();
    const token = new FormData(event.currentTarget as HTMLFormElement).get('token');
    setBusy(true);
    setFailure(null);
    ask('POST', '/page/session', { token: typeof token === 'string' ? token.trim() : '' })
      .then(() => {
        canLogOut.value = true;
        goOn();
      })
      .catch((error: unknown) => {
        setFailure(error instanceof Error ? error.message : String(error));
        setBusy(false);
      });
  };
  return (
    <main class="login">
      <form class="card" onSubmit={submit}>
        <h1>zk0</h1>
        <p>This server shows its page to operators. Their token is in the file <code>.server/operator.token</code> in the server’s outputs folder, or is what it was started with (<code>ZK0_ADMIN_TOKEN</code>).</p>
        <label for="token">Operators’ token</label>
        <input id="token" name="token" type="password" autocomplete="current-password" required autofocus />
        {failure !== null && <p class="failure" role="alert">{failure}</p>}
        <button type="submit" class="primary" disabled={isBusy}>{isBusy ? 'Checking …' : 'Log in'}</button>
      </form>
    </main>
  );
}
