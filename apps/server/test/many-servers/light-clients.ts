import { join } from 'node:path';
import { Random, type ClientProfile, type JsonObject, type Parameters } from '@zk0/core';
import { ControlStore, OptimizerStore, Participant, ResidualStore, SecretStore, silentLog, type LocalModel } from '@zk0/federation';
import { openBlobStore } from '@zk0/storage';
import { connect } from '@zk0/transport';

const joints = Array.from({ length: 6 }, (_, joint) => `joint_${joint}`);
const zeros = joints.map(() => 0);
const ones = joints.map(() => 1);
const moments = { count: 10, mean: zeros, m2: ones, min: zeros, max: ones };
const profile: ClientProfile = {
  dataset: {
    name: 'recording', contentHash: 'a'.repeat(64), robotType: 'so101_follower', fps: 30, episodes: 1, frames: 10, stateNames: joints, actionNames: joints,
    cameras: ['observation.images.top', 'observation.images.wrist'].map((key) => ({ key, height: 48, width: 64 })),
    moments: { state: moments, action: moments },
  },
  device: 'cpu',
};

/** A client whose training is cheap and always the same: it moves the parameters towards numbers of its own. */
function localModel(id: string, before: (round: number) => Promise<void>): LocalModel {
  const towards = (name: string, length: number): Float32Array => new Random(`${id} ${name}`).fillNormal(new Float32Array(length));
  return {
    profile: () => JSON.parse(JSON.stringify(profile)) as JsonObject,
    fit: async ({ fit: { round } }, global) => {
      await before(round);
      const parameters: Parameters = new Map([...global].map(([name, { shape, data }]) => {
        const target = towards(name, data.length);
        return [name, { shape, data: data.map((value, at) => value + 0.1 * (target[at]! - value)) }];
      }));
      return { parameters, numExamples: 1 + (id.charCodeAt(1) % 9), metrics: { loss: round } };
    },
  };
}

/** Starts a client in this process, over HTTP like any other. @param before is awaited before each training */
export async function startLightClient(url: string, id: string, home: string, signal: AbortSignal, before: (round: number) => Promise<void> = () => Promise.resolve()): Promise<{ readonly ended: Promise<unknown> }> {
  const path = join(home, `client-${id}`);
  const blobs = await openBlobStore(join(path, 'blobs'));
  const connection = connect({ url, clientId: id, instance: id, retry: { initialMs: 100, maxMs: 1000, firstContactMs: Infinity } });
  const participant = new Participant({
    connection,
    model: localModel(id, before),
    blobs,
    controls: new ControlStore(join(path, 'control'), id, blobs),
    optimizers: new OptimizerStore(join(path, 'optimizer'), id),
    residuals: new ResidualStore(join(path, 'residual'), id),
    secrets: new SecretStore(join(path, 'secret'), id),
    name: id,
    agent: 'test/1',
    log: silentLog,
  });
  return { ended: participant.run(signal).finally(() => connection.close()) };
}
