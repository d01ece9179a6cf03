// The thin layer between kernels and the machine: intrinsics by name, with PTX under nvcc and the emulator elsewhere.
// Kernel sources include this and nothing of CUDA, so that the same text compiles for the GPU and for the tests on a
// CPU.
//
// Fragments of mma.m16n8k16 (PTX ISA 9.7.14.5): with g = lane / 4 and t = lane % 4,
//   A 16x16: a[0] (g, 2t..2t+1)  a[1] (g + 8, 2t..)  a[2] (g, 2t + 8..)  a[3] (g + 8, 2t + 8..)
//   B 16x8:  b[0] (2t..2t+1, g)  b[1] (2t + 8.., g)
//   C 16x8:  c[0], c[1] (g, 2t..2t+1)  c[2], c[3] (g + 8, 2t..)
#pragma once

#include <cstddef>
#include <cstdint>

#if !defined(__CUDACC__)
#include "base/half.h"
#include "cuda/emulator/emulator.h"
#endif

namespace millrace::cuda {

inline constexpr int kWarp = 32;

#if defined(__CUDACC__)

__device__ __forceinline__ std::byte* SharedMemory() {
  extern __shared__ __align__(128) unsigned char dynamic_shared_memory[];
  return reinterpret_cast<std::byte*>(dynamic_shared_memory);
}
__device__ __forceinline__ int LaneIndex() {
  return static_cast<int>(threadIdx.x) % kWarp;
}

// Two f32 to bf16, round to nearest even; lo is the low half.
__device__ __forceinline__ uint32_t PackBf16(float lo, float hi) {
  uint32_t packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(hi), "f"(lo));
  return packed;
}
// a * b + c on two bf16, each rounded once.
__device__ __forceinline__ uint32_t FmaBf16x2(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t d;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
}
__device__ __forceinline__ uint32_t BytePermute(uint32_t a, uint32_t b, uint32_t selector) {
  return __byte_perm(a, b, selector);
}
__device__ __forceinline__ float F16ToFloat(uint16_t half) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
  return value;
}
__device__ __forceinline__ float BitsToFloat(uint32_t bits) {
  return __uint_as_float(bits);
}
__device__ __forceinline__ uint32_t FloatToBits(float value) {
  return __float_as_uint(value);
}
__device__ __forceinline__ float Exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// c += a * b, bf16 inputs, f32 sums.
__device__ __forceinline__ void MmaBf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// Four 8x8 matrices of 16-bit values, transposed: lane l names the row (16 bytes) l % 8 of matrix l / 8; r[m] holds
// elements (2t, g) and (2t + 1, g) of matrix m.
__device__ __forceinline__ void LoadMatrixTransposed(uint32_t (&r)[4], const std::byte* row) {
  const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}
// 16 bytes from global to shared memory without registers; zeros when not valid (global must be a mapped address all
// the same).
__device__ __forceinline__ void CopyAsync16(std::byte* shared, const void* global, bool valid) {
  const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(global), "r"(valid ? 16 : 0)
               : "memory");
}
__device__ __forceinline__ void CopyAsyncCommit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int kPending>
__device__ __forceinline__ void CopyAsyncWait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}
// 16 bytes that this kernel reads once: past the first-level cache.
__device__ __forceinline__ uint4 LoadStreaming(const void* global) {
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(global));
  return v;
}
// Written by other blocks of this launch: from the second-level cache.
__device__ __forceinline__ float LoadCoherent(const float* global) {
  return __ldcg(global);
}
__device__ __forceinline__ float4 LoadCoherent4(const float* global) {
  return __ldcg(reinterpret_cast<const float4*>(global));
}

#else

inline std::byte* SharedMemory() {
  return emulator::SharedMemory();
}
inline int LaneIndex() {
  return emulator::LaneIndex();
}
inline uint32_t PackBf16(float lo, float hi) {
  return F32ToBf16(lo) | static_cast<uint32_t>(F32ToBf16(hi)) << 16;
}
inline uint32_t FmaBf16x2(uint32_t a, uint32_t b, uint32_t c) {
  const auto half = [&](int shift) {
    const auto value = [&](uint32_t x) { return Bf16ToF32(static_cast<uint16_t>(x >> shift)); };
    return F32ToBf16(std::fma(value(a), value(b), value(c)));
  };
  return half(0) | static_cast<uint32_t>(half(16)) << 16;
}
inline uint32_t BytePermute(uint32_t a, uint32_t b, uint32_t selector) {
  const uint64_t bytes = a | static_cast<uint64_t>(b) << 32;
  uint32_t out = 0;
  for (int i = 0; i < 4; ++i) out |= static_cast<uint32_t>(bytes >> (8 * (selector >> (4 * i) & 7)) & 0xff) << (8 * i);
  return out;
}
inline float F16ToFloat(uint16_t half) {
  return F16ToF32(half);
}
inline float BitsToFloat(uint32_t bits) {
  return std::bit_cast<float>(bits);
}
inline uint32_t FloatToBits(float value) {
  return std::bit_cast<uint32_t>(value);
}
inline float Exp2(float x) {
  return std::exp2(x);
}
void MmaBf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
void LoadMatrixTransposed(uint32_t (&r)[4], const std::byte* row);
inline void CopyAsync16(std::byte* shared, const void* global, bool valid) {
  emulator::CpAsync(shared, global, 16, valid ? 16 : 0);
}
inline void CopyAsyncCommit() {
  emulator::CpAsyncCommit();
}
template <int kPending>
void CopyAsyncWait() {
  emulator::CpAsyncWait(kPending);
}
inline uint4 LoadStreaming(const void* global) {
  return *static_cast<const uint4*>(global);
}
inline float LoadCoherent(const float* global) {
  return *global;
}
inline float4 LoadCoherent4(const float* global) {
  return *reinterpret_cast<const float4*>(global);
}

#endif

__device__ __forceinline__ float Bf16LowToFloat(uint32_t pair) {
  return BitsToFloat(pair << 16);
}
__device__ __forceinline__ float Bf16HighToFloat(uint32_t pair) {
  return BitsToFloat(pair & 0xffff0000u);
}

__device__ __forceinline__ float WarpSum(float value) {
  for (int mask = 16; mask > 0; mask /= 2) value += __shfl_xor_sync(0xffffffffu, value, mask);
  return value;
}

// Where 16-byte chunk `chunk` of row `row` lies in a tile of rows of `chunks_per_row` (a multiple of 4), so that eight
// rows read at one chunk, and two neighbouring rows read at four chunks, meet no bank twice. Stays inside the row.
__host__ __device__ __forceinline__ int SwizzledChunk(int row, int chunk, int chunks_per_row) {
  const int turn = (row & 1) << 2 | (row >> 1 & 3);
  return chunk ^ (turn & (chunks_per_row % 8 == 0 ? 7 : 3));
}

}  // namespace millrace::cuda
