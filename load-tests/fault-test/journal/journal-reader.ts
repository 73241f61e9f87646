import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Outcome } from '../../../src/concurrency/history.ts';
import { type History, noTruth, type Truth } from './history.ts';
import { begun, type Kind, kinds } from './operation.ts';

/**
 * Reads a journal again, and hands over what was known each time when the database was asked.
 *
 * @throws {TypeError} when the file is not a journal
 */
export async function readJournal(file: string, onTruth: (history: History, truth: Truth) => void) {
  const history: History = { faults: ['none'], operations: [], reads: [] };
  let truth = noTruth();
  for await (const line of createInterface({ input: createReadStream(file) })) {
    if (line === '.') {
      onTruth(history, truth);
      truth = noTruth();
    } else readLine(line, history, truth);
  }
  return history;
}

function readLine(line: string, history: History, truth: Truth): void {
  const [mark, first = '', second = '', third = '', fourth = '', ...rest] = line.split(' ');
  const id = Number(first);
  if (mark === '>') history.operations[id] = begun(id, kindOf(second), Number(third), 0);
  else if (mark === '<') {
    const operation = history.operations[id];
    if (!operation) throw new TypeError(`operation ${id} ended before it began`);
    const [values = '-', replayed, ...text] = rest;
    operation.outcome = second as Outcome;
    operation.endedAt = Number(third);
    operation.fault = Number(fourth);
    if (values !== '-') operation.values = numbers(values);
    if (replayed === 'replayed') operation.replayed = true;
    if (text.join('')) operation.unexpected = text.join(' ');
  } else if (mark === 'f') history.faults.push(line.slice(2));
  else if (mark === '?') {
    history.reads.push({
      name: first,
      startedAt: Number(second),
      endedAt: Number(third),
      value: Number(fourth),
    });
  } else if (mark === '=') truth.counted.set(id, numbers(second));
  else if (mark === '!') truth.strangers.push(first);
  else if (mark === '#') truth.values.set(first, Number(second));
  else if (mark !== 'run') throw new TypeError(`not a line of a journal: ${line.slice(0, 80)}`);
}

/** @throws {TypeError} when there is no such kind */
function kindOf(name: string): Kind {
  const kind = kinds.find((one) => one === name);
  if (!kind) throw new TypeError(`no kind of operation: ${name}`);
  return kind;
}

const numbers = (text: string): number[] => text.split(',').map(Number);
