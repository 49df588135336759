import { describe, expect, it } from 'vitest';
import { isOutOfMemory } from './memory-errors.ts';

describe('memory that does not suffice', () => {
  it.each([
    'Non-zero status code returned while running MatMul node. Name:\'MatMul/12\' Status Message: Failed to allocate memory for requested buffer of size 4294967296',
    'std::bad_alloc',
    'bad allocation',
    'CUDA failure 2: out of memory ; GPU=0 ; hostname=lab ; file=/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc ; line=207 ; expr=cudaMalloc((void**)&p, size);',
    'CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0 ; expr=cublasCreate(&cublas_handle_);',
    'CUDNN failure 4000: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED',
  ])('is known by what is said: %s', (message) => {
    expect(isOutOfMemory(message)).toBe(true);
  });

  it.each([
    'Got invalid dimensions for input: x for the following indices index: 0 Got: 2 Expected: 3',
    'CUDA failure 209: no kernel image is available for execution on the device',
    'CUDA failure 700: an illegal memory access was encountered',
  ])('is not found in other failures: %s', (message) => {
    expect(isOutOfMemory(message)).toBe(false);
  });
});
