// The page around the panels: title, variables, the grid.
import { PanelChrome } from '@grafana/ui';

import { Content } from './panel.jsx';

const WIDTH = 1600;
const MARGIN = 16;
const GAP = 8; // between panels, in pixels; and a row of the grid, as in Grafana
const ROW = 30;
const COLUMN = (WIDTH - 2 * MARGIN - 23 * GAP) / 24;

const across = (columns) => columns * COLUMN + (columns - 1) * GAP;
const down = (rows) => rows * ROW + (rows - 1) * GAP;

export function Board({ content, theme }) {
  const { board, variables, range } = content;
  const bottom = Math.max(...board.panels.map(({ gridPos: at }) => at.y + at.h));
  return (
    <div style={{ width: WIDTH, boxSizing: 'border-box', background: theme.colors.background.canvas, padding: MARGIN }}>
      <div style={{ display: 'flex', alignItems: 'baseline', marginBottom: 12 }}>
        <div style={{ ...theme.typography.h4, flexGrow: 1 }}>{board.title}</div>
        <div style={{ color: theme.colors.text.secondary }}>{range.text}</div>
      </div>
      <div style={{ display: 'flex', gap: 8, marginBottom: 12 }}>
        {variables.map(({ label, value }) => (
          <Variable key={label} label={label} value={value} theme={theme} />
        ))}
      </div>
      <div style={{ position: 'relative', height: down(bottom) }}>
        {board.panels.map((panel) => (
          <Placed key={panel.id} panel={panel} content={content} theme={theme} />
        ))}
      </div>
    </div>
  );
}

function Placed({ panel, content, theme }) {
  const { x, y, w, h } = panel.gridPos;
  const place = {
    position: 'absolute',
    left: x * (COLUMN + GAP),
    top: y * (ROW + GAP),
    width: across(w),
    height: down(h),
  };
  if (panel.type === 'row') {
    return (
      <div style={{ ...place, ...theme.typography.h5, lineHeight: `${ROW}px` }}>
        <span style={{ color: theme.colors.text.secondary, marginRight: 8 }}>⌄</span>
        {panel.title}
      </div>
    );
  }
  return (
    <div style={place}>
      <PanelChrome
        title={panel.title}
        width={across(w)}
        height={down(h)}
        padding={panel.type === 'table' ? 'none' : 'md'}
      >
        {(width, height) => (
          <Content panel={panel} content={content} theme={theme} width={width} height={height} />
        )}
      </PanelChrome>
    </div>
  );
}

function Variable({ label, value, theme }) {
  const { background, border, text } = theme.colors;
  const box = { padding: '5px 8px', border: `1px solid ${border.medium}`, fontSize: 12 };
  return (
    <div style={{ display: 'flex' }}>
      <div style={{ ...box, background: background.secondary, borderRight: 0 }}>{label}</div>
      <div style={{ ...box, background: background.primary, color: text.secondary }}>{value}</div>
    </div>
  );
}
