// @ts-check
const { trustedTypes } = /** @type {any} */ (globalThis);

// The page forbids all markup from strings. ECharts empties its element in that way, and may do that and no more.
trustedTypes?.createPolicy('default', {
  createHTML: (/** @type {string} */ html) => (html === '' ? html : null),
});

// A script and no module: it leaves its name behind. The service serves it from node_modules.
const library = '/page/echarts.js';
await import(library);
const { echarts } = /** @type {any} */ (globalThis);

/** Where the chart's colours come from: those of the page, light or dark. @param {Element} element */
function colours(element) {
  const style = getComputedStyle(element);
  const probe = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  return { accent: probe('--accent'), loss: probe('--loss'), ink: probe('--ink'), font: style.fontFamily };
}

/**
 * Bars, one for each strategy, with their numbers at the end.
 *
 * @param {HTMLElement} element @param {any[]} results @param {string} key which number
 */
export function barChart(element, results, key) {
  element.style.height = `${results.length * 36 + 8}px`;
  const chart = echarts.init(element, null, { renderer: 'canvas' });
  const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
  const draw = () => chart.setOption(optionOf(results, key, colours(element), !still));
  draw();
  const scheme = matchMedia('(prefers-color-scheme: dark)');
  scheme.addEventListener('change', draw);
  const size = new ResizeObserver(() => chart.resize());
  size.observe(element);
  return {
    dispose() {
      scheme.removeEventListener('change', draw);
      size.disconnect();
      chart.dispose();
    },
  };
}

/** @param {any[]} results @param {string} key @param {ReturnType<typeof colours>} colour @param {boolean} animation */
function optionOf(results, key, { accent, loss, ink, font }, animation) {
  const text = { color: ink, fontFamily: font, fontSize: 13 };
  return {
    animation,
    animationDuration: 400,
    textStyle: text,
    grid: { left: 0, right: 56, top: 4, bottom: 4, containLabel: true },
    xAxis: { type: 'value', show: false, max: (/** @type {any} */ { max }) => Math.max(1, max) },
    yAxis: {
      type: 'category',
      inverse: true,
      data: results.map(({ strategy }) => strategy),
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: text,
    },
    series: [
      {
        type: 'bar',
        barWidth: 14,
        data: results.map((one) => ({
          value: one[key],
          itemStyle: { color: one.lost > 0 ? loss : accent, borderRadius: 3 },
        })),
        label: {
          show: true,
          position: 'right',
          ...text,
          formatter: (/** @type {any} */ { value }) => value.toLocaleString('en'),
        },
      },
    ],
  };
}
