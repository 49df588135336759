import { defineConfig, mergeConfig } from 'vitest/config';
import { shared, webgpuEnvironment } from '../../vitest.shared.ts';

export default mergeConfig(shared, defineConfig({ root: import.meta.dirname, test: { name: 'onnx-train', env: webgpuEnvironment() } }));
