import { testControls } from './controls.ts';

testControls('answer before commit', 'bulk in part', 'stale reads');
