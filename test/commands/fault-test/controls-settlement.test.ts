import { testControls } from './controls.ts';

testControls(
  'treats every lost commit as not applied',
  'treats every lost commit as applied',
  'does not check batch numbers',
  'guesses the outcome after its writer was removed',
);
