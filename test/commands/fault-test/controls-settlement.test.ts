import { testControls } from './controls.ts';

testControls('fence off', 'numbers not checked', 'guess when forgotten');
