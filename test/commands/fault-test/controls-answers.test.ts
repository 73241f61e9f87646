import { testControls } from './controls.ts';

testControls('answers before the commit', 'skips the last counter of a bulk', 'reads from a cache');
