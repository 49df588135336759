/**
 * @module
 * Tools for tests of federations: a bad network between two real programs.
 */
export { chaosProxy, type ChaosOptions, type ChaosProxy, type Fault } from './testing/chaos-proxy.ts';
