// Arithmetic that runs on both devices is written once, in functions marked FASTPRE_HD.
#pragma once

#if defined(__CUDACC__)
#define FASTPRE_HD __host__ __device__
#else
#define FASTPRE_HD
#endif
