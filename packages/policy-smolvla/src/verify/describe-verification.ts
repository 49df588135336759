import type { DeviceVerification, VerifiedPart } from './verify-device.ts';

/** Whether a device computed what the processor computes. */
export function isVerified({ parts }: DeviceVerification): boolean {
  return parts.every(isWithin);
}

/** The parts of a verification as rows for people: what, how far apart, allowed, seconds on the device and the processor. */
export function verificationRows({ parts }: DeviceVerification): string[][] {
  return parts.map((part) => [
    isWithin(part) ? 'equal' : 'DIFFERS',
    part.part,
    part.difference.toExponential(1),
    part.tolerance.toExponential(0),
    part.seconds.toFixed(3),
    part.processorSeconds.toFixed(3),
  ]);
}

function isWithin({ difference, tolerance }: VerifiedPart): boolean {
  return difference <= tolerance;
}
