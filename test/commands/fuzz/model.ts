import type { Operation } from './document.ts';
import type { Answer, HttpClient, Sent } from './http-client.ts';

interface Counter {
  name: string;
  value: number;
}

interface Increment {
  by?: number;
  window?: string;
}

/** What the counters must be by the answers of one caller, who asks one thing after another. */
export class CounterModel {
  readonly #values = new Map<string, number>();

  /** @returns what is wrong with the answer to a request that changes counters; undefined: nothing */
  observe({ path, method }: Operation, { target, body = '' }: Sent, answer: Answer): string | undefined {
    if (answer.status >= 300) return undefined;
    if (path === '/counters/{name}' && method === 'DELETE') {
      this.#values.delete(decodeURIComponent(target.split(/[/?]/)[2] ?? ''));
    } else if (path === '/counters/{name}' && method === 'PUT') {
      const { name, value, expires_at: end } = JSON.parse(answer.text) as Counter & { expires_at?: string };
      if (end !== undefined && Date.parse(end) < Date.now()) this.#values.delete(name);
      else this.#values.set(name, value);
    } else if (path === '/counters/{name}/increments') {
      const increment = (body === '' ? {} : read(body)) as Increment;
      return this.#increment([increment], [JSON.parse(answer.text) as Counter], answer);
    } else if (path === '/increments') {
      return this.#increment(read(body) as Increment[], JSON.parse(answer.text) as Counter[], answer);
    }
    return undefined;
  }

  /** A replay tells what was written at its time, and adds nothing. A window is no part of the counter. */
  #increment(increments: Increment[], counters: Counter[], { headers }: Answer): string | undefined {
    if (headers['idempotency-replayed'] === 'true') return undefined;
    for (const [i, { name, value }] of counters.entries()) {
      const { by = 1, window } = increments[i] ?? {};
      if (window !== undefined) continue;
      const expected = (this.#values.get(name) ?? 0) + by;
      if (value !== expected) return `${JSON.stringify(name)} is ${value} and must be ${expected}`;
      this.#values.set(name, value);
    }
    return undefined;
  }

  get expected(): Counter[] {
    return sorted([...this.#values].map(([name, value]) => ({ name, value })));
  }
}

/** A byte order mark may be ignored (RFC 8259, 8.1), and is. */
const read = (body: string): unknown => JSON.parse(body.replace(/^\ufeff/, ''));

/** All counters, as the service lists them, three a page. */
export async function countersOf(client: HttpClient): Promise<Counter[]> {
  const all: Counter[] = [];
  for (let after: string | null = ''; after !== null; ) {
    const target = `/counters?prefix=&limit=3&after=${encodeURIComponent(after)}`;
    const { text } = await client.send({ method: 'GET', target, headers: [] });
    const page = JSON.parse(text) as { counters: Counter[]; next: string | null };
    all.push(...page.counters);
    after = page.next;
  }
  return sorted(all);
}

const sorted = (counters: Counter[]): Counter[] =>
  counters.toSorted((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
