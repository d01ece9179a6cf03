#include <immintrin.h>

#include "kernels/limits/limits.h"

namespace millrace::kernels {
namespace {

// Assembly, since a compiler would fold or spill such loops. 16 independent accumulators hide any latency.
#define MILLRACE_REPEAT16(op)                                                                              \
  op " %%zmm16, %%zmm16, %%zmm0\n" op " %%zmm16, %%zmm16, %%zmm1\n" op " %%zmm16, %%zmm16, %%zmm2\n" op    \
     " %%zmm16, %%zmm16, %%zmm3\n" op " %%zmm16, %%zmm16, %%zmm4\n" op " %%zmm16, %%zmm16, %%zmm5\n" op    \
     " %%zmm16, %%zmm16, %%zmm6\n" op " %%zmm16, %%zmm16, %%zmm7\n" op " %%zmm16, %%zmm16, %%zmm8\n" op    \
     " %%zmm16, %%zmm16, %%zmm9\n" op " %%zmm16, %%zmm16, %%zmm10\n" op " %%zmm16, %%zmm16, %%zmm11\n" op  \
     " %%zmm16, %%zmm16, %%zmm12\n" op " %%zmm16, %%zmm16, %%zmm13\n" op " %%zmm16, %%zmm16, %%zmm14\n" op \
     " %%zmm16, %%zmm16, %%zmm15\n"
#define MILLRACE_ZERO16                                                                                 \
  "vpxor %%xmm0, %%xmm0, %%xmm0\nvpxor %%xmm1, %%xmm1, %%xmm1\nvpxor %%xmm2, %%xmm2, %%xmm2\n"          \
  "vpxor %%xmm3, %%xmm3, %%xmm3\nvpxor %%xmm4, %%xmm4, %%xmm4\nvpxor %%xmm5, %%xmm5, %%xmm5\n"          \
  "vpxor %%xmm6, %%xmm6, %%xmm6\nvpxor %%xmm7, %%xmm7, %%xmm7\nvpxor %%xmm8, %%xmm8, %%xmm8\n"          \
  "vpxor %%xmm9, %%xmm9, %%xmm9\nvpxor %%xmm10, %%xmm10, %%xmm10\nvpxor %%xmm11, %%xmm11, %%xmm11\n"    \
  "vpxor %%xmm12, %%xmm12, %%xmm12\nvpxor %%xmm13, %%xmm13, %%xmm13\nvpxor %%xmm14, %%xmm14, %%xmm14\n" \
  "vpxor %%xmm15, %%xmm15, %%xmm15\nvpxord %%zmm16, %%zmm16, %%zmm16\n"
#define MILLRACE_PEAK_LOOP(Name, op)                                                                              \
  void Name(long n) {                                                                                             \
    asm volatile(MILLRACE_ZERO16 "1:\n" MILLRACE_REPEAT16(op) "dec %0\njnz 1b\n"                                  \
                 : "+r"(n)::"cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", \
                   "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16");                                \
  }
MILLRACE_PEAK_LOOP(RunF32, "vfmadd231ps")
MILLRACE_PEAK_LOOP(RunBf16, "vdpbf16ps")
MILLRACE_PEAK_LOOP(RunInt8, "vpdpbusd")

long Read(const void* data, long bytes) {
  const auto* p = static_cast<const char*>(data);
  __m512i sum[4];
  for (int i = 0; i < 4; ++i) sum[i] = _mm512_setzero_si512();
  for (long at = 0; at < bytes; at += 256) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) sum[i] = _mm512_xor_si512(sum[i], _mm512_loadu_si512(p + at + 64 * i));
  }
  return _mm512_reduce_add_epi64(_mm512_xor_si512(_mm512_xor_si512(sum[0], sum[1]), _mm512_xor_si512(sum[2], sum[3])));
}

}  // namespace

const PeakLoops kPeakLoopsAvx512 = {{RunF32, 16 * 16 * 2}, {RunBf16, 16 * 32 * 2}, {RunInt8, 16 * 64 * 2}, Read};

}  // namespace millrace::kernels
