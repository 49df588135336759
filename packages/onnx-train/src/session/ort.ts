/**
 * onnxruntime-node, for the rest of this package. It is imported dynamically because two things have to happen before: usage events are turned
 * off, and a linked CUDA provider decides where its library is loaded from. A static import would be evaluated first in the built package.
 */
import './no-telemetry.ts';
import { preloadRuntime } from '../cuda/load.ts';

preloadRuntime();

export const ort = await import('onnxruntime-node');
