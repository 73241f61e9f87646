import { testControls } from './controls.ts';

testControls('ignores keys', 'counts known keys again', 'refuses the whole batch on a lock');
