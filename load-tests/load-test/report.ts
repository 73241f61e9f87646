import { thousands } from '../../src/command-line/table.ts';
import { type Chart, lineChart } from './charts.ts';
import type { Measurement } from './measurement.ts';
import type { Column } from './tables.ts';

interface Picture {
  file: string;
  svg: string;
  caption: string;
}

interface Results {
  machine: Record<string, string>;
  load: Record<string, number>;
  endpoints: Measurement[];
  strategies: Measurement[];
}

const charts: (Chart & { file: string; caption: string })[] = [
  {
    file: 'throughput.svg',
    title: 'Acknowledged increments of one post',
    unit: 'increments per second',
    scale: 'log',
    value: (row) => row.incrementsPerSecond,
    caption:
      'Acknowledged increments of a single post per second, by number of concurrent callers. Some of those of the strategies that lose updates are not in the count.',
  },
  {
    file: 'latency.svg',
    title: 'Latency of the slowest 1% of calls',
    unit: 'milliseconds (p99)',
    scale: 'log',
    value: (row) => Math.max(1, row.latencyMs.p99),
    caption: '99th percentile of the time to an answer, in whole milliseconds; less than 1 is shown as 1.',
  },
  {
    file: 'conflicts.svg',
    title: 'Wasted attempts',
    unit: 'conflicts per acknowledged increment',
    scale: 'value',
    value: (row) => row.conflicts / Math.max(1, row.acknowledged),
    caption:
      'Conflicts per acknowledged increment. Strategies that wait for a lock, or need none, have no conflicts and are not drawn.',
  },
];

export const pictures = (rows: readonly Measurement[]): Picture[] =>
  charts.map((chart) => ({ file: chart.file, caption: chart.caption, svg: lineChart(chart, rows) }));

/** A self-contained HTML report with the charts, for readers who do not know the code. */
export function report({ machine, load, endpoints, strategies }: Results, drawn: readonly Picture[]): string {
  const all = [...endpoints, ...strategies];
  const broken = all.filter(({ holds }) => holds === false).length;
  const inconclusive = all.filter(({ holds }) => holds === null).length;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>safe-counters: load test</title>
<style>${STYLE}</style>
<main>
<h1>Which ways of counting likes hold</h1>
<p>Every call below asked the service to add likes to a post. The likes of a call that was answered with success are
<em>acknowledged</em>: they must be in the count. <em>Lost</em> are acknowledged likes that are missing from the count
after all calls.</p>
<p class="${broken ? 'bad' : inconclusive ? '' : 'good'}">${outcome(all.length, broken, inconclusive)}</p>
<h2>By number of concurrent callers</h2>
${drawn.map(({ svg, caption }) => `<figure>${svg}<figcaption>${caption}</figcaption></figure>`).join('\n')}
<h2>The strategies</h2>
<p>One increment per call, all on one post, ${load.requests} calls each.</p>
${htmlTable(strategies)}
<h2>The endpoints of the blog post</h2>
<p>${load.workers} workers with ${load.increments} increments each per call (one worker for /inc).</p>
${htmlTable(endpoints)}
<h2>Measured on</h2>
<dl>${Object.entries(machine)
    .map(([name, value]) => `<dt>${name}</dt><dd>${escaped(value)}</dd>`)
    .join('')}</dl>
<p>Commits were durable. Times on a shared machine vary: compare the rows of one run, not different runs.</p>
</main>
</html>
`;
}

function outcome(all: number, broken: number, inconclusive: number): string {
  const inconclusiveNote = `${inconclusive} of ${all} claims are inconclusive: the service was too slow to tell`;
  if (broken) return `${broken} of ${all} claims do not hold${inconclusive ? `; ${inconclusiveNote}` : ''}.`;
  if (inconclusive) return `${inconclusiveNote}. The others hold.`;
  return `All ${all} claims hold: the exact ones lost nothing, and those that lose updates did, as expected.`;
}

const COLUMNS: Column[] = [
  ['', (row) => row.name],
  ['callers', (row) => row.connections],
  ['claim', (row) => row.claim],
  ['acknowledged', (row) => row.acknowledged],
  ['refused', (row) => row.refused],
  ['likes', (row) => row.likes],
  ['lost', (row) => row.lost],
  ['conflicts', (row) => row.conflicts],
  ['increments/s', (row) => row.incrementsPerSecond],
  ['p50 ms', (row) => row.latencyMs.p50],
  ['p99 ms', (row) => row.latencyMs.p99],
  ['', (row) => (row.holds === null ? '? ' : row.holds ? '✓ ' : '✗ ') + row.verdict],
];

function htmlTable(rows: readonly Measurement[]): string {
  const head = COLUMNS.map(([heading]) => `<th>${heading}</th>`).join('');
  const body = rows.map(
    (row) =>
      `<tr class="${row.holds === false ? 'broken' : row.lost > 0 ? 'loses' : ''}">${COLUMNS.map(([, value]) => cell(value(row))).join('')}</tr>`,
  );
  return `<div class="wide"><table><thead><tr>${head}</tr></thead><tbody>${body.join('\n')}</tbody></table></div>`;
}

const cell = (value: string | number): string =>
  typeof value === 'number' ? `<td class="number">${thousands(value)}</td>` : `<td>${escaped(value)}</td>`;

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

const STYLE = `
:root { color-scheme: light dark; --line: #8884; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; }
main { max-width: 62rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.8rem; line-height: 1.2; } h2 { margin-top: 2.5rem; font-size: 1.25rem; }
p, figcaption { max-width: 44rem; }
figure { margin: 1.5rem 0; } figure svg { width: 100%; height: auto; border: 1px solid var(--line); border-radius: 6px; }
figcaption { font-size: .9rem; opacity: .8; }
.good::before { content: "✓ "; } .bad::before { content: "✗ "; } .good, .bad { font-weight: 600; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; white-space: nowrap; }
th, td { padding: .25rem .6rem; text-align: left; border-bottom: 1px solid var(--line); }
th:not(:first-child):not(:last-child) { text-align: right; } .number { text-align: right; font-variant-numeric: tabular-nums; }
td:nth-child(3) { text-align: right; }
.loses td:nth-child(7), .broken td { color: #c62828; font-weight: 600; }
@media (prefers-color-scheme: dark) { .loses td:nth-child(7), .broken td { color: #ff8a80; } }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; } dd { margin: 0; }
`;
