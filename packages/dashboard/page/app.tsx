import type { JSX } from 'preact';
import { Choice } from './parts/card.tsx';
import { Dialogs } from './parts/dialogs.tsx';
import { Header } from './sections/header.tsx';
import { Headline } from './sections/headline.tsx';
import { Login } from './sections/login.tsx';
import { Losses } from './sections/losses.tsx';
import { HeldOut } from './sections/held-out.tsx';
import { Clients } from './sections/clients.tsx';
import { Rounds } from './sections/rounds.tsx';
import { Schedule } from './sections/schedule.tsx';
import { Updates } from './sections/updates.tsx';
import { Checkpoints } from './sections/checkpoints.tsx';
import { Runs } from './sections/runs.tsx';
import { Nodes } from './sections/nodes.tsx';
import { Log } from './sections/log.tsx';
import { chooseTheme, hasRounds, hasView, link, theme, version } from './state.ts';

/** The whole page. */
export function App(): JSX.Element {
  if (link.value.state === 'login') return <Login />;
  if (!hasView.value) return <Header />;
  const { value: hasRun } = hasRounds;
  return (
    <>
      <a class="skip" href="#main">Skip to the content</a>
      <Header />
      <main id="main">
        <Headline />
        {hasRun && <Losses />}
        {hasRun && <HeldOut />}
        {hasRun && <Rounds />}
        <Clients />
        {hasRun && <Schedule />}
        {hasRun && <Updates />}
        {hasRun && <Checkpoints />}
        <Runs />
        <Nodes />
        <Log />
      </main>
      <footer>
        <span>zk0 {version} · <a href="/page/files/licenses.txt">licences of what this page is made with</a></span>
        <Choice label="Colours" value={theme.value} options={[['auto', 'Automatic'], ['light', 'Light'], ['dark', 'Dark']]} onChoose={chooseTheme} />
      </footer>
      <Dialogs />
    </>
  );
}
