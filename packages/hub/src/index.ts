/**
 * @module
 * Hugging Face hub repositories: resumable, verified downloads into the cache that Python shares.
 */
export { isHubAddress, parseHubAddress, type HubAddress } from './address.ts';
export type { Repository, RepositoryType } from './api.ts';
export { HubError, type HubErrorCode } from './errors.ts';
export { checkHub, openHub, type Hub } from './hub.ts';
export type { PushedRepository, PushFile, PushOptions, PushProgress } from './upload/push.ts';
export type { HubOptions } from './settings.ts';
export type { FetchHooks, FetchProgress, HubSnapshot } from './snapshot.ts';
