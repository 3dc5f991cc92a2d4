// Converts results of Prometheus to Grafana's data frames, like its Prometheus data source.
import {
  FieldConfigOptionsRegistry,
  FieldType,
  applyFieldOverrides,
  cacheFieldDisplayNames,
  createDataFrame,
  identityOverrideProcessor,
  standardTransformers,
  standardTransformersRegistry,
  transformDataFrame,
} from '@grafana/data';
import { firstValueFrom, isObservable } from 'rxjs';

standardTransformersRegistry.setInit(() =>
  [
    standardTransformers.mergeTransformer,
    standardTransformers.filterFieldsByNameTransformer,
    standardTransformers.organizeFieldsTransformer,
  ].map((transformation) => ({ id: transformation.id, name: transformation.name, transformation: () => Promise.resolve(transformation) }))
);

// Properties of a field's configuration, and the graph panel's defaults.
const OF_ALL = ['unit', 'min', 'max', 'decimals', 'displayName', 'color', 'thresholds', 'mappings', 'links', 'noValue'];
const OF_GRAPHS = {
  drawStyle: 'line',
  lineInterpolation: 'linear',
  lineWidth: 1,
  lineStyle: { fill: 'solid' },
  fillOpacity: 0,
  gradientMode: 'none',
  showPoints: 'auto',
  pointSize: 5,
  spanNulls: false,
  insertNulls: false,
  barAlignment: 0,
  barWidthFactor: 0.6,
  stacking: { mode: 'none', group: 'A' },
  axisPlacement: 'auto',
  axisColorMode: 'text',
  axisBorderShow: false,
  axisLabel: '',
  axisSoftMin: undefined,
  axisSoftMax: undefined,
  axisCenteredZero: false,
  scaleDistribution: { type: 'linear' },
  thresholdsStyle: { mode: 'off' },
  hideFrom: { tooltip: false, viz: false, legend: false },
};
const OF_TABLES = { cellOptions: { type: 'auto' }, width: undefined, minWidth: 150, align: 'auto', inspect: false };

const item = (id, path, isCustom) => ({
  id,
  path,
  isCustom,
  name: id,
  process: identityOverrideProcessor,
  shouldApply: () => true,
});
const custom = { ...OF_GRAPHS, ...OF_TABLES };
const registry = new FieldConfigOptionsRegistry(() => [
  ...OF_ALL.map((id) => item(id, id, false)),
  ...Object.keys(custom).map((id) => item(`custom.${id}`, id, true)),
]);

export async function framesOf(panel, answers, theme) {
  const targets = panel.targets.map((target) => ({ target, result: answers[target.refId] }));
  const raw = targets.flatMap(({ target, result }) =>
    target.format === 'table' ? [tableOf(target, result, targets.length > 1)] : seriesOf(target, result)
  );
  const frames = await transformed(panel.transformations ?? [], raw);
  const defaults = panel.type === 'timeseries' ? OF_GRAPHS : panel.type === 'table' ? OF_TABLES : {};
  const { fieldConfig } = panel;
  const finished = {
    ...fieldConfig,
    defaults: { ...fieldConfig.defaults, custom: { ...defaults, ...fieldConfig.defaults.custom } },
  };
  const overridden = applyFieldOverrides({
    data: frames,
    fieldConfig: finished,
    fieldConfigRegistry: registry,
    replaceVariables: (text) => text,
    theme,
    timeZone: 'utc',
  });
  cacheFieldDisplayNames(overridden);
  return overridden;
}

async function transformed(transformations, frames) {
  const given = transformDataFrame(transformations, frames);
  return isObservable(given) ? firstValueFrom(given) : given;
}

function seriesOf(target, result) {
  return result.map(({ metric, values }) =>
    createDataFrame({
      refId: target.refId,
      name: nameOf(target, metric),
      fields: [
        { name: 'Time', type: FieldType.time, config: {}, values: values.map(([time]) => time * 1000) },
        {
          name: 'Value',
          type: FieldType.number,
          config: { displayNameFromDS: nameOf(target, metric) },
          labels: metric,
          values: values.map(([, value]) => (value === null ? null : Number(value))),
        },
      ],
    })
  );
}

function tableOf(target, result, several) {
  const labels = [...new Set(result.flatMap(({ metric }) => Object.keys(metric)))].sort();
  const last = result.map(({ values }) => values.at(-1));
  return createDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, config: {}, values: last.map(([time]) => time * 1000) },
      ...labels.map((label) => ({
        name: label,
        type: FieldType.string,
        config: {},
        values: result.map(({ metric }) => metric[label] ?? null),
      })),
      {
        name: several ? `Value #${target.refId}` : 'Value',
        type: FieldType.number,
        config: {},
        values: last.map(([, value]) => Number(value)),
      },
    ],
  });
}

function nameOf(target, metric) {
  if (target.legendFormat && target.legendFormat !== '__auto') {
    return target.legendFormat.replace(/{{\s*(\w+)\s*}}/g, (_, label) => metric[label] ?? '');
  }
  const { __name__: name = '', ...labels } = metric;
  const written = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  return written.length ? `${name}{${written.join(', ')}}` : name || target.expr;
}
