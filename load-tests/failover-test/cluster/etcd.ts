import { join } from 'node:path';
import { until } from '../waiting.ts';
import { allProcesses, killAll, processesOf, type Run, runInBackground } from './processes.ts';

const START_MS_MAX = 30_000;

/** etcd: it holds the leader's lease. */
export class Etcd {
  readonly #program: string;
  readonly #folder: string;
  readonly #run: Run;
  readonly #ports: { client: number; peer: number };

  constructor(program: string, folder: string, run: Run, ports: { client: number; peer: number }) {
    this.#program = program;
    this.#folder = folder;
    this.#run = run;
    this.#ports = ports;
  }

  /** Starts etcd, on its existing data if there are any, and waits until it serves. */
  async start(signal: AbortSignal): Promise<void> {
    const [client, peer] = [this.#ports.client, this.#ports.peer].map((port) => `http://127.0.0.1:${port}`);
    const options = {
      name: 'drill',
      'data-dir': join(this.#folder, 'data'),
      'listen-client-urls': client,
      'advertise-client-urls': client,
      'listen-peer-urls': peer,
      'initial-advertise-peer-urls': peer,
      'initial-cluster': `drill=${peer}`,
      'enable-v2': 'true',
      'log-level': 'warn',
    };
    const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
    await runInBackground(this.#program, args, this.#run);
    await until('etcd', async () => (await fetch(`${client}/health`)).ok, { msMax: START_MS_MAX, signal });
  }

  async kill(): Promise<void> {
    await killAll(async () => processesOf(await allProcesses(), this.#folder));
  }
}
