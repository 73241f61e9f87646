/** Formats rows under their headings, in columns as wide as their widest cell; numbers are right-aligned. */
export function table(headings: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const lines = [headings, ...rows.map((row) => row.map(cell))];
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const numeric = headings.map((_, column) => rows.every((row) => typeof row[column] === 'number'));
  const rule = widths.map((width) => '─'.repeat(width)).join('  ');
  const text = lines.map((line) =>
    line
      .map((word, column) =>
        numeric[column] ? word.padStart(widths[column] ?? 0) : word.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
  return [text[0], rule, ...text.slice(1)].join('\n');
}

const cell = (value: string | number): string => (typeof value === 'number' ? thousands(value) : value);

/** A number rounded to an integer, in groups of three digits. */
export const thousands = (value: number): string =>
  Math.round(value).toLocaleString('en').replaceAll(',', ' ');
