/**
 * @module
 * Hugging Face hub repositories by address.
 */
export { isHubAddress, parseHubAddress, type HubAddress } from './address.ts';
export { HubError, type HubErrorCode } from './errors.ts';
