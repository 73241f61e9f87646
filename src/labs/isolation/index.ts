import type { Lab } from '../bench/experiment.ts';
import { anomalies } from './anomalies.ts';
import { experimentOf } from './anomaly.ts';
import { autocommit } from './autocommit.ts';
import { matrices } from './matrices.ts';
import { threePlaces } from './three-places.ts';
import { uncommittedRow } from './uncommitted-row.ts';

export const isolation: Lab = {
  name: 'isolation',
  summary: 'What each isolation level of PostgreSQL allows, shown by schedules of two or three sessions.',
  terms: ['transaction', 'autocommit', 'row lock', 'serialization failure'],
  experiments: [...anomalies.map(experimentOf), uncommittedRow, threePlaces, autocommit],
  conclude: matrices,
};
