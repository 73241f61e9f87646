import { testControls } from './controls.ts';

testControls(
  'answers a transaction before its commit',
  'does not check the numbers of transactions',
  'decides without locks',
);
