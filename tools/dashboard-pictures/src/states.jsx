// The state timeline. Grafana's own is part of its core and cannot be imported: this imitates it.
import { getFieldDisplayName } from '@grafana/data';

const AXIS = 22;
const LABEL = 12;
const TICKS = [300, 600, 900, 1800, 3600, 7200];

export function StateTimeline({ panel, frames, range, theme, width, height }) {
  const rows = frames.map((frame) => {
    const [time, field] = frame.fields;
    return { name: getFieldDisplayName(field, frame, frames), times: time.values, field };
  });
  const longest = Math.max(...rows.map((row) => textWidth(row.name)));
  const left = Math.min(longest + 12, width / 2.5);
  const across = width - left - 8;
  const each = (height - AXIS) / rows.length;
  const at = (time) => left + ((time / 1000 - range.from) / (range.to - range.from)) * across;
  const thick = each * panel.options.rowHeight;
  const opacity = (panel.fieldConfig.defaults.custom?.fillOpacity ?? 70) / 100;
  return (
    <svg width={width} height={height} style={{ fontSize: LABEL, fontFamily: theme.typography.fontFamily }}>
      {ticks(range, across).map((time) => (
        <g key={time}>
          <line
            x1={at(time * 1000)}
            x2={at(time * 1000)}
            y1={0}
            y2={height - AXIS}
            stroke={theme.colors.border.weak}
          />
          <text x={at(time * 1000)} y={height - 6} textAnchor="middle" fill={theme.colors.text.primary}>
            {new Date(time * 1000).toISOString().slice(11, 16)}
          </text>
        </g>
      ))}
      {rows.map((row, index) => {
        const top = index * each + (each - thick) / 2;
        const middle = index * each + each / 2 + LABEL / 3;
        return (
          <g key={row.name}>
            <text x={left - 8} y={middle} textAnchor="end" fill={theme.colors.text.primary}>
              {row.name}
            </text>
            {pieces(row, range).map(({ from, to, value }) => {
              const { text, color } = row.field.display(value);
              const [begin, end] = [at(from), at(to)];
              const fits = panel.options.showValue !== 'never' && textWidth(text) + 8 < end - begin;
              const fill = theme.visualization.getColorByName(color ?? 'blue');
              return (
                <g key={from}>
                  <rect
                    x={begin}
                    width={Math.max(end - begin, 1)}
                    y={top}
                    height={thick}
                    fill={fill}
                    fillOpacity={opacity}
                  />
                  {fits && (
                    <text x={begin + 4} y={middle} fill={theme.colors.getContrastText(fill, 4)}>
                      {text}
                    </text>
                  )}
                </g>
              );
            })}
          </g>
        );
      })}
    </svg>
  );
}

// Ranges of one value. Missing samples are gaps.
function pieces({ times, field }, { to }) {
  const step = Math.min(...times.slice(1).map((time, index) => time - times[index]));
  const found = [];
  field.values.forEach((value, index) => {
    const from = times[index];
    const last = found.at(-1);
    const until = Math.min(from + step, to * 1000);
    if (value === null) {
      return;
    }
    if (last && last.value === value && from <= last.to + 1) {
      last.to = until;
    } else {
      found.push({ from, to: until, value });
    }
  });
  return found;
}

function ticks({ from, to }, across) {
  const every = TICKS.find((seconds) => (to - from) / seconds <= across / 60) ?? 86400;
  const first = Math.ceil(from / every) * every;
  return Array.from({ length: Math.floor((to - first) / every) + 1 }, (_, index) => first + index * every);
}

const canvas = document.createElement('canvas').getContext('2d');
function textWidth(text) {
  canvas.font = `${LABEL}px Inter`;
  return canvas.measureText(text).width;
}
