// Arithmetic that runs on both devices is written once, in functions marked FASTPRE_HD.
#pragma once

#if defined(__CUDACC__)
#define FASTPRE_HD __host__ __device__
#define FASTPRE_NOINLINE __noinline__
#else
#define FASTPRE_HD
#define FASTPRE_NOINLINE
#endif

// Before a loop over a small array: on a GPU, indices known at compile time keep the array in registers.
#if defined(__CUDA_ARCH__)
#define FASTPRE_UNROLL _Pragma("unroll")
#else
#define FASTPRE_UNROLL
#endif

// Memory that is not written while the kernel runs: a GPU reads it through another path.
template <class T>
FASTPRE_HD inline T ReadOnly(const T* at) {
#if defined(__CUDA_ARCH__)
  return __ldg(at);
#else
  return *at;
#endif
}
