// Reads one dashboard with its data (see ../draw.py) and draws it once.
import { createTheme } from '@grafana/data';
import { GlobalStyles, ThemeContext } from '@grafana/ui';
import { createRoot } from 'react-dom/client';

import { Board } from './board.jsx';

const params = new URLSearchParams(location.search);
const mode = params.get('theme') ?? 'dark';
const content = await (await fetch(`${params.get('board')}.data.json`)).json();

const theme = createTheme({ colors: { mode } });
document.body.classList.add(`theme-${mode}`);
const root = createRoot(document.getElementById('root'));
const page = (children) => (
  <ThemeContext.Provider value={theme}>
    <GlobalStyles />
    {children}
  </ThemeContext.Provider>
);
// Texts are measured before they are drawn, so load the fonts first.
root.render(page(null));
await new Promise((done) => setTimeout(done, 100));
await Promise.all(['400', '500'].map((weight) => document.fonts.load(`${weight} 14px Inter`)));
root.render(page(<Board content={content} theme={theme} />));
// Sizes are measured and plots drawn within some frames; then nothing changes any more.
setTimeout(() => (document.body.dataset.drawn = 'yes'), 2500);
