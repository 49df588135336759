/** Libraries of the C and C++ run-time that a running Node has loaded already. */
const LOADED_BY_NODE = /^(ld-linux-x86-64|libc|libdl|libgcc_s|libm|libpthread|librt|libstdc\+\+)\.so\.\d+$/;

/** Comes with NVIDIA's driver, never with a package: it has to fit the kernel's module. */
export const DRIVER_LIBRARY = 'libcuda.so.1';

/** cuDNN 9; its parts, `libcudnn_….so.9`, lie beside it. */
export const CUDNN = 'libcudnn.so.9';

export function isLoadedByNode(library: string): boolean {
  return LOADED_BY_NODE.test(library);
}

/** The CUDA that a provider was built for, by the cuBLAS it needs; `undefined` when it needs none. */
export function cudaMajor(needed: readonly string[]): number | undefined {
  const [, major] = needed.map((name) => /^libcublas(?:Lt)?\.so\.(\d{1,3})$/.exec(name)).find((match) => match !== null) ?? [];
  return major === undefined ? undefined : Number(major);
}

/**
 * Libraries that the provider and cuDNN open only once they are running (`dlopen`), so that no table names them: cuDNN 9 for
 * convolutions, in parts that it opens by name, and NVRTC for the kernels that cuDNN compiles.
 */
export function lateLibraries(major: number): string[] {
  const parts = ['', '_graph', '_ops', '_cnn', '_heuristic', '_engines_precompiled', '_engines_runtime_compiled'];
  return [`libnvrtc.so.${major}`, ...parts.map((part) => `libcudnn${part}.so.9`)];
}

/** Opened by the provider for Fourier transforms alone, which no graph here has. */
export function optionalLibraries(major: number): string[] {
  // cuFFT's number is one below CUDA's.
  return [`libcufft.so.${major - 1}`];
}

/** PyPI's names of what brings a library: since CUDA 13 the names have no suffix, except cuDNN's. */
const PACKAGES: readonly (readonly [RegExp, string])[] = [
  [/^libcublas/, 'nvidia-cublas'],
  [/^libcudart\./, 'nvidia-cuda-runtime'],
  [/^libcudnn/, 'nvidia-cudnn'],
  [/^libcufft/, 'nvidia-cufft'],
  [/^libcurand/, 'nvidia-curand'],
  [/^libnvJitLink/, 'nvidia-nvjitlink'],
  [/^libnvrtc/, 'nvidia-cuda-nvrtc'],
];

/** The first driver that runs programs built for a CUDA (NVIDIA's release notes, "CUDA Toolkit and Minimum Required Driver Version"). */
export function leastDriver(major: number): number {
  return major >= 13 ? 580 : 525;
}

/** What brings a library, as a sentence that tells what to do. */
export function howToGet(library: string, major: number): string {
  if (library === DRIVER_LIBRARY) {
    return `It comes with NVIDIA's driver: install the driver that your distribution offers (CUDA ${major} needs ${leastDriver(major)} or newer), and restart.`;
  }
  if (library.startsWith('libz.so')) return 'Install zlib: `apt-get install zlib1g`, or your distribution’s package.';
  const name = PACKAGES.find(([pattern]) => pattern.test(library))?.[1];
  if (name === undefined) return 'Install the package of your distribution that has it, or name its folder with --from.';
  const suffix = name === 'nvidia-cudnn' ? `-cu${major}` : major >= 13 ? '' : `-cu${major}`;
  // Without a bound, pip takes the newest CUDA's.
  const versions: Readonly<Record<string, string>> = { 'nvidia-cudnn': '==9.*', 'nvidia-curand': '==10.*', 'nvidia-cufft': `==${major - 1}.*` };
  return `Run \`${pip(`${name}${suffix}${versions[name] ?? `==${major}.*`}`)}\` in the Python environment that it is to come from.`;
}

/** The line that brings the provider and all it needs from PyPI. */
export function pipForProvider(version: string): string {
  return pip(`onnxruntime-gpu[cuda,cudnn]==${version}`);
}

function pip(requirement: string): string {
  return `pip install "${requirement}"`;
}

/**
 * SHA-256 of providers that were looked at: their commit is known although the file itself does not say it.
 */
export const KNOWN_PROVIDERS: Readonly<Record<string, { readonly version: string; readonly commit: string; readonly source: string }>> = {
  '35da2e7ed0dd0d1aec5cdb16ce11a51d06c0c48cf62d1b1c9332946a4fae14fc': {
    version: '1.30.0',
    commit: 'f2c39fe2f',
    source: 'onnxruntime-gpu 1.30.0 for CPython 3.12 from PyPI',
  },
};
