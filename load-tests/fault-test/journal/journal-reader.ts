import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Outcome } from '../../../src/concurrency/history.ts';
import { type History, noHistory, noTruth, type Truth } from './history.ts';
import { begun, type Kind, kinds } from './operation.ts';

/**
 * Reads a journal from its file.
 *
 * @param onTruth called for each recorded state of the database, with the history up to that point
 * @throws {TypeError} if the file is not a journal
 */
export async function readJournal(file: string, onTruth: (history: History, truth: Truth) => void) {
  const history = noHistory();
  let truth = noTruth();
  for await (const line of createInterface({ input: createReadStream(file) })) {
    if (line === '.') {
      onTruth(history, truth);
      truth = noTruth();
    } else if (!readRequest(line, history) && !readTruth(line, truth) && !readEvent(line, history)) {
      throw new TypeError(`not a journal; invalid line: ${line.slice(0, 80)}`);
    }
  }
  return history;
}

/** @returns whether the line is about a request */
function readRequest(line: string, { operations }: History): boolean {
  const [mark, first, second = '', third, fourth = '-', ...rest] = line.split(' ');
  const id = Number(first);
  if (mark === '>') {
    const about = fourth === '-' ? {} : { about: fourth };
    operations[id] = begun({ id, kind: kindOf(second), ...about }, Number(third), 0);
    return true;
  }
  if (mark !== '<') return false;
  const operation = operations[id];
  if (!operation) throw new TypeError(`not a journal: operation ${id} has an end but no beginning`);
  const [values = '-', remarks = '-', ...text] = rest;
  operation.outcome = second as Outcome;
  operation.endedAt = Number(third);
  operation.fault = Number(fourth);
  if (values !== '-') operation.values = numbers(values);
  for (const remark of remarks.split(',')) {
    if (remark === 'replayed' || remark === 'again') operation[remark] = true;
    else if (remark !== '-') operation.code = remark;
  }
  if (text.join('')) operation.unexpected = text.join(' ');
  return true;
}

/** @returns whether the line is about the state of the database */
function readTruth(line: string, truth: Truth): boolean {
  const [mark, first = '', second = ''] = line.split(' ');
  if (mark === '=') truth.counted.set(Number(first), numbers(second));
  else if (mark === '!') truth.unsentKeys.push(first);
  else if (mark === '#') truth.values.set(first, Number(second));
  else return false;
  return true;
}

/** @returns whether the line is about an event of the run */
function readEvent(line: string, history: History): boolean {
  const [mark, first = '', second, third, fourth = ''] = line.split(' ');
  const [startedAt, endedAt] = [Number(second), Number(third)];
  if (mark === 'f') history.faults.push(line.slice(2));
  else if (mark === '?') history.reads.push({ name: first, startedAt, endedAt, value: Number(fourth) });
  else if (mark === 'l')
    history.locks.push({ fault: Number(first), startedAt, endedAt, names: fourth.split(',') });
  else if (mark === 'o') history.failovers.push({ startedAt: Number(first), endedAt: Number(second) });
  else if (mark === 'x') for (const id of numbers(first)) history.expired.add(id);
  else return mark === 'run';
  return true;
}

/** @throws {TypeError} if the kind does not exist */
function kindOf(name: string): Kind {
  const kind = kinds.find((one) => one === name);
  if (!kind) throw new TypeError(`not a journal: unknown kind of operation: ${name}`);
  return kind;
}

const numbers = (text: string): number[] => text.split(',').map(Number);
