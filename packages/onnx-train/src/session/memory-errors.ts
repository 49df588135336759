/**
 * Words with which onnxruntime, CUDA, cuBLAS, cuDNN and WebGPU say that there is no memory left: onnxruntime's allocators ("Failed to allocate
 * memory for requested buffer of size …", "bad allocation"), C++'s `std::bad_alloc`, `cudaErrorMemoryAllocation` (2), and the statuses of
 * NVIDIA's libraries.
 */
const OUT_OF_MEMORY = /failed to allocate memory|bad_alloc|bad allocation|out of memory|CUDA failure 2\b|(?:CUBLAS|CUDNN)\w*_ALLOC(?:ATION)?_FAILED/i;

/** Whether what a device failed with says that its memory did not suffice. */
export function isOutOfMemory(message: string): boolean {
  return OUT_OF_MEMORY.test(message);
}
