import { parseArgs } from 'node:util';
import { messageOf } from '../errors/caught.ts';
import { StartupError } from '../errors/startup-error.ts';
import { parsed, toldUsage, UsageError, whole, wholes } from '../../load-tests/load-test/options.ts';
import { progress } from '../../load-tests/shared/progress.ts';
import { table } from '../../load-tests/shared/table.ts';
import { type Verification, type VerificationResult, verify } from './verification.ts';

const USAGE = `Usage: npm run verify -- DATABASE_URL [--contenders LIST] [--rounds N] [--strategies-only] [--json]
Runs every strategy and every experiment against that database, in schemas of its own that are removed afterwards.
  --contenders LIST  how many contend, one after another, each 1 to 64 (default 2,8,32)
  --rounds N         increments of each contender, 1 to 1000 (default 10)
  --strategies-only  without the experiments of the laboratories
  --json             the results as JSON`;

const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());

try {
  const { json, ...options } = readArguments(process.argv.slice(2));
  const result = await verify({
    ...options,
    signal: interrupted.signal,
    warn: (message) => console.error(message),
    onStart: progress,
  });
  progress();
  console.log(json ? JSON.stringify(result, null, 2) : shown(result, options.contenders));
  process.exitCode = [...result.rows, ...result.experiments].every(({ holds }) => holds) ? 0 : 1;
} catch (error) {
  progress();
  if (interrupted.signal.aborted) process.exitCode = 130;
  else if (!toldUsage(error, USAGE)) {
    console.error(
      `cannot verify: ${error instanceof StartupError ? error.message : messageOf(error).split('\n')[0]}`,
    );
    process.exitCode = 1;
  }
}

function readArguments(
  args: string[],
): Pick<Verification, 'databaseUrl' | 'contenders' | 'rounds' | 'strategiesOnly'> & { json: boolean } {
  const options = {
    contenders: { type: 'string' },
    rounds: { type: 'string' },
    'strategies-only': { type: 'boolean' },
    json: { type: 'boolean' },
  } as const;
  const { values, positionals } = parsed(() => parseArgs({ args, options, allowPositionals: true }));
  const [databaseUrl, ...others] = positionals;
  if (!databaseUrl || others.length > 0 || !/^postgres(ql)?:/.test(databaseUrl)) {
    throw new UsageError('one DATABASE_URL is needed: postgresql://user:password@host:port/database');
  }
  return {
    databaseUrl,
    contenders: wholes('contenders', values.contenders ?? '2,8,32', 1, 64),
    rounds: whole('rounds', values.rounds ?? '10', 1, 1000),
    strategiesOnly: values['strategies-only'] ?? false,
    json: values.json ?? false,
  };
}

/** A line for each strategy, a column for each number of contenders. */
function shown({ server, rows, experiments }: VerificationResult, contenders: readonly number[]): string {
  const names = [...new Set(rows.map(({ strategy }) => strategy))];
  const lines = names.map((name) => {
    const own = rows.filter(({ strategy }) => strategy === name);
    const holds = own.every((row) => row.holds);
    return [holds ? '✓' : '✗', name, own[0]?.claim ?? '', ...own.map(({ verdict }) => verdict)];
  });
  const heading = ['', 'strategy', 'claim', ...contenders.map((count) => `${count} contenders`)];
  const examined = experiments.map((one) => [
    one.holds ? '✓' : '✗',
    `${one.lab}/${one.experiment}`,
    one.verdict,
  ]);
  const all = [...lines, ...examined];
  const broken = all.filter(([mark]) => mark === '✗').length;
  const end = broken ? `${broken} of ${all.length} claims do not hold` : `all ${all.length} claims hold`;
  return `${server}\n\n${table(heading, lines)}\n\n${table(['', 'experiment', ''], examined)}\n\n${end}`;
}
