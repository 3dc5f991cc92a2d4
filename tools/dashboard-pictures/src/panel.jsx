// The content of a panel, by its type.
import {
  FieldType,
  VizOrientation,
  dateTime,
  getDisplayValueAlignmentFactors,
  getFieldDisplayValues,
} from '@grafana/data';
import { BarGauge, BigValue, TimeSeries, VizRepeater } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import { useEffect, useState } from 'react';

import { framesOf } from './frames.js';
import { StateTimeline } from './states.jsx';

const KINDS = {
  stat: Stat,
  bargauge: Gauges,
  timeseries: Series,
  'state-timeline': StateTimeline,
  table: Table,
};

export function Content({ panel, content, ...size }) {
  const [frames, setFrames] = useState();
  useEffect(() => {
    framesOf(panel, content.answers[panel.id], size.theme).then(setFrames);
  }, []);
  if (!frames) {
    return null;
  }
  const Kind = KINDS[panel.type];
  if (!Kind) {
    return <Message theme={size.theme}>This tool does not draw panels of type {panel.type}.</Message>;
  }
  // Stats have their own text for missing data.
  if (panel.type !== 'stat' && frames.every((frame) => frame.length === 0)) {
    return <Message theme={size.theme}>{panel.fieldConfig.defaults.noValue ?? 'No data'}</Message>;
  }
  return <Kind panel={panel} frames={frames} range={content.range} {...size} />;
}

function Message({ theme, children }) {
  return (
    <div
      style={{
        height: '100%',
        display: 'flex',
        alignItems: 'center',
        justifyContent: 'center',
        color: theme.colors.text.secondary,
      }}
    >
      {children}
    </div>
  );
}

function timeRange({ from, to }) {
  const [begin, end] = [dateTime(from * 1000), dateTime(to * 1000)];
  return { from: begin, to: end, raw: { from: begin, to: end } };
}

function Series({ panel, frames, range, width, height }) {
  return (
    <TimeSeries
      frames={frames}
      timeRange={timeRange(range)}
      timeZone="utc"
      width={width}
      height={height}
      legend={panel.options.legend}
      options={panel.options}
    />
  );
}

function reduced(panel, frames, theme, sparkline) {
  return getFieldDisplayValues({
    fieldConfig: panel.fieldConfig,
    reduceOptions: panel.options.reduceOptions,
    replaceVariables: (text) => text,
    theme,
    data: frames,
    sparkline,
    timeZone: 'utc',
  });
}

function Stat({ panel, frames, theme, width, height }) {
  const { graphMode, colorMode, justifyMode, textMode, wideLayout, orientation } = panel.options;
  return (
    <VizRepeater
      getValues={() => reduced(panel, frames, theme, graphMode !== 'none')}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value, width, height, count, alignmentFactors }) => (
        <BigValue
          value={value.display}
          count={count}
          sparkline={value.sparkline}
          colorMode={colorMode}
          graphMode={graphMode}
          justifyMode={justifyMode}
          textMode={textMode}
          wideLayout={wideLayout}
          alignmentFactors={alignmentFactors}
          theme={theme}
          width={width}
          height={height}
        />
      )}
      width={width}
      height={height}
      source={frames}
      autoGrid
      renderCounter={0}
      orientation={orientation}
    />
  );
}

function Gauges({ panel, frames, theme, width, height }) {
  const { options } = panel;
  const values = reduced(panel, frames, theme, false);
  return (
    <VizRepeater
      getValues={() => values}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value, width, height, orientation, alignmentFactors }) => (
        <BarGauge
          value={value.display}
          field={value.field}
          display={value.view?.getFieldDisplayProcessor(value.colIndex ?? 0)}
          width={width}
          height={height}
          orientation={orientation}
          itemSpacing={8}
          lcdCellWidth={12}
          displayMode={options.displayMode}
          valueDisplayMode={options.valueMode}
          namePlacement={options.namePlacement}
          showUnfilled={options.showUnfilled}
          alignmentFactors={alignmentFactors}
          theme={theme}
        />
      )}
      width={width}
      height={height}
      minVizWidth={options.minVizWidth}
      minVizHeight={options.minVizHeight}
      maxVizHeight={options.maxVizHeight}
      source={frames}
      renderCounter={0}
      orientation={VizOrientation.Horizontal}
    />
  );
}

function Table({ panel, frames, width, height }) {
  const { sortBy, showHeader, cellHeight } = panel.options;
  const [frame] = frames;
  return (
    <TableNG
      data={frame}
      width={width}
      height={height}
      noHeader={!showHeader}
      cellHeight={cellHeight}
      sortBy={sortBy}
      fieldConfig={panel.fieldConfig}
      timeRange={undefined}
      getActions={() => []}
    />
  );
}
