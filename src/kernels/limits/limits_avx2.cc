#include <immintrin.h>

#include "kernels/limits/limits.h"

namespace millrace::kernels {
namespace {

// vpmaddubsw counts as the int8 peak, though its 16-bit sums still have to be widened.
#define MILLRACE_PEAK_LOOP(Name, step)                                                                            \
  void Name(long n) {                                                                                             \
    asm volatile("vpxor %%xmm15, %%xmm15, %%xmm15\n1:\n" step(0) step(1) step(2) step(3) step(4) step(5) step(6)  \
                     step(7) step(8) step(9) step(10) step(11) "dec %0\njnz 1b\n"                                 \
                 : "+r"(n)::"cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", \
                   "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");                                         \
  }
#define MILLRACE_FMA_STEP(r) "vfmadd231ps %%ymm15, %%ymm15, %%ymm" #r "\n"
#define MILLRACE_INT8_STEP(r) "vpmaddubsw %%ymm15, %%ymm15, %%ymm" #r "\n"
MILLRACE_PEAK_LOOP(RunF32, MILLRACE_FMA_STEP)
MILLRACE_PEAK_LOOP(RunInt8, MILLRACE_INT8_STEP)

long Read(const void* data, long bytes) {
  const auto* p = static_cast<const char*>(data);
  __m256i sum[4];
  for (int i = 0; i < 4; ++i) sum[i] = _mm256_setzero_si256();
  for (long at = 0; at < bytes; at += 128) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      sum[i] = _mm256_xor_si256(sum[i], _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + at + 32 * i)));
    }
  }
  const __m256i all = _mm256_xor_si256(_mm256_xor_si256(sum[0], sum[1]), _mm256_xor_si256(sum[2], sum[3]));
  return _mm256_extract_epi64(all, 0) + _mm256_extract_epi64(all, 1);
}

}  // namespace

const PeakLoops kPeakLoopsAvx2 = {{RunF32, 12 * 8 * 2}, {}, {RunInt8, 12 * 32 * 2}, Read};

}  // namespace millrace::kernels
