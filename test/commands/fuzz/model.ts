import type { Operation } from './document.ts';
import type { Answer, HttpClient, Sent } from './http-client.ts';

interface Counter {
  name: string;
  value: number;
  /** What was added, if the increment is partial. */
  added?: number;
}

interface Increment {
  by?: number;
  window?: string;
}

/** The expected values of the counters, by the answers to one caller that sends one request after another. */
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

  /** A replay repeats the values of the first answer, and adds nothing. A window is no part of the counter. */
  #increment(increments: Increment[], counters: Counter[], { headers }: Answer): string | undefined {
    if (headers['idempotency-replayed'] === 'true') return undefined;
    for (const [i, { name, value, added }] of counters.entries()) {
      const { by = 1, window } = increments[i] ?? {};
      if (window !== undefined) continue;
      const expected = (this.#values.get(name) ?? 0) + (added ?? by);
      if (value !== expected) return `${JSON.stringify(name)} is ${value}, expected ${expected}`;
      this.#values.set(name, value);
    }
    return undefined;
  }

  get expected(): Counter[] {
    return sorted([...this.#values].map(([name, value]) => ({ name, value })));
  }
}

/** Ignores a byte order mark, as the service does and RFC 8259, 8.1 allows. */
const read = (body: string): unknown => JSON.parse(body.replace(/^\ufeff/, ''));

/** All counters, as the service lists them in pages of three. */
export async function countersOf(client: HttpClient): Promise<Counter[]> {
  const all: Counter[] = [];
  for (let after: string | null = ''; after !== null; ) {
    const target = `/counters?prefix=&limit=3&after=${encodeURIComponent(after)}`;
    const { text } = await client.send({ method: 'GET', target, headers: [] });
    const page = JSON.parse(text) as { counters: Counter[]; next: string | null };
    all.push(...page.counters.map(({ name, value }) => ({ name, value })));
    after = page.next;
  }
  return sorted(all);
}

const sorted = (counters: Counter[]): Counter[] =>
  counters.toSorted((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
