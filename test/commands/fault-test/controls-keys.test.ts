import { testControls } from './controls.ts';

testControls('keys off', 'keys ignored', 'neighbours refused');
