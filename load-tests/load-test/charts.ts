import { init, type LineSeriesOption } from 'echarts';
import type { Measurement } from './measurement.ts';

export interface Chart {
  title: string;
  unit: string;
  /** The value of a row; undefined: no point there. */
  value: (row: Measurement) => number | undefined;
  scale: 'log' | 'value';
}

/** Distinguishable with colour blindness, too: the Okabe–Ito palette, with some colours in between. */
const COLOURS = [
  '#0072b2',
  '#009e73',
  '#e69f00',
  '#cc79a7',
  '#56b4e9',
  '#7b4fa3',
  '#8c8c00',
  '#3b3b3b',
  '#4f9d9d',
  '#a06030',
  '#5b6fd6',
];
const COLOUR_OF_LOSS = '#c62828';
const DASHES = { exact: 'solid', rejects: 'dashed', loses: 'dotted' } as const;

/** A line per strategy over the number of callers, rendered without a browser (ECharts server-side). */
export function lineChart({ title, unit, value, scale }: Chart, rows: readonly Measurement[]): string {
  const callers = [...new Set(rows.map((row) => row.connections))];
  // Series that stay at zero are named in the caption.
  const names = [...new Set(rows.filter((row) => (value(row) ?? 0) > 0).map((row) => row.name))];
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: 900, height: 540 });
  let colour = 0;
  const series = names.map((name): LineSeriesOption => {
    const own = rows.filter((row) => row.name === name);
    const claim = own[0]?.claim ?? 'exact';
    const stroke = claim === 'loses' ? COLOUR_OF_LOSS : (COLOURS[colour++ % COLOURS.length] ?? '#000');
    return {
      name,
      type: 'line',
      symbolSize: 5,
      lineStyle: { type: DASHES[claim], width: 2 },
      itemStyle: { color: stroke },
      data: callers.map((count) =>
        pointOf(
          own.find((row) => row.connections === count),
          value,
          scale,
        ),
      ),
      endLabel: { show: true, formatter: '{a}', color: stroke, fontSize: 12 },
      labelLayout: { moveOverlap: 'shiftY' },
    };
  });
  chart.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    title: { text: title, subtext: 'solid: exact · dashed: may refuse · dotted: loses', left: 12, top: 8 },
    grid: { left: 70, right: 170, top: 100, bottom: 52 },
    xAxis: {
      type: 'category',
      data: callers,
      name: 'concurrent callers',
      nameLocation: 'middle',
      nameGap: 32,
      boundaryGap: false,
    },
    yAxis: {
      type: scale,
      name: unit,
      nameTextStyle: { align: 'left' },
      nameGap: 14,
      axisLabel: { formatter: (tick: number) => tick.toLocaleString('en') },
    },
    series,
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  // A text alternative for screen readers.
  return svg.replace(
    '<svg ',
    `<svg role="img" aria-label="${title}, ${unit}, by strategy and number of callers" `,
  );
}

/** A logarithmic scale has no zero. */
function pointOf(row: Measurement | undefined, value: Chart['value'], scale: Chart['scale']): number | '-' {
  const at = row && value(row);
  return at === undefined || (scale === 'log' && at <= 0) ? '-' : Math.round(at * 100) / 100;
}
