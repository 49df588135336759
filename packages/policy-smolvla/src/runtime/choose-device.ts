import { availableParallelism } from 'node:os';
import { createSession, encodeModel, GraphBuilder, listDevices, ops, SessionError, type Device } from '@zk0/onnx-train';
import { InvalidArgumentError } from '@zk0/core';

/**
 * Resolves `auto` to CUDA where onnxruntime has it and it starts, else to the CPU; any other name is tried as it is.
 *
 * @throws SessionError DEVICE_UNAVAILABLE when a device that was asked for by name cannot be used.
 */
export async function chooseDevice(wanted: string): Promise<Device> {
  const known = listDevices().map(({ device }) => device);
  if (wanted === 'auto') {
    return known.includes('cuda') && (await starts('cuda')) ? 'cuda' : 'cpu';
  }
  const device = known.find((candidate) => candidate === wanted);
  if (device === undefined) {
    throw new SessionError('DEVICE_UNAVAILABLE', `device ${wanted} is not in this build of onnxruntime (${known.join(', ')})`, {
      hint: `Use --device auto or one of ${known.join(', ')}.`,
    });
  }
  if (device !== 'cpu') await probe(device);
  return device;
}

/** Execution providers in this build of onnxruntime; whether one starts on this machine, {@link chooseDevice} finds out. */
export function availableDevices(): readonly string[] {
  return listDevices().map(({ device }) => device);
}

/** The number of CPU threads to use. */
export function chooseThreads(wanted: number | undefined): number {
  if (wanted === undefined) return availableParallelism();
  if (!Number.isSafeInteger(wanted) || wanted < 1) throw new InvalidArgumentError(`threads ${wanted} is not a whole number of at least 1`);
  return wanted;
}

async function starts(device: Device): Promise<boolean> {
  return probe(device).then(
    () => true,
    (error: unknown) => {
      if (error instanceof SessionError && error.code === 'DEVICE_UNAVAILABLE') return false;
      throw error;
    },
  );
}

/** Runs the smallest graph there is on a device. */
async function probe(device: Device): Promise<void> {
  const graph = new GraphBuilder('probe');
  const x = graph.input('x', 'float32', [1]);
  graph.output('y', ops.add(x, x));
  const session = await createSession(encodeModel(graph), { device });
  await session.close();
}
