// mma and ldmatrix by their definition in the PTX ISA, for all lanes of a warp at once.
#include "cuda/device.h"

namespace millrace::cuda {
namespace {

struct MmaOperand {
  float* c;
  const uint32_t* a;
  const uint32_t* b;
};

float Element(uint32_t pair, int index) {
  return Bf16ToF32(static_cast<uint16_t>(pair >> (16 * index)));
}

void ComputeMma(void* const* lanes) {
  float a[16][16], b[16][8];
  for (int lane = 0; lane < kWarp; ++lane) {
    const auto& operand = *static_cast<const MmaOperand*>(lanes[lane]);
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 2; ++i) {
      a[g][2 * t + i] = Element(operand.a[0], i);
      a[g + 8][2 * t + i] = Element(operand.a[1], i);
      a[g][2 * t + 8 + i] = Element(operand.a[2], i);
      a[g + 8][2 * t + 8 + i] = Element(operand.a[3], i);
      b[2 * t + i][g] = Element(operand.b[0], i);
      b[2 * t + 8 + i][g] = Element(operand.b[1], i);
    }
  }
  float product[16][8] = {};
  for (int k = 0; k < 16; ++k) {
    for (int row = 0; row < 16; ++row) {
      for (int col = 0; col < 8; ++col) product[row][col] += a[row][k] * b[k][col];
    }
  }
  for (int lane = 0; lane < kWarp; ++lane) {
    const auto& operand = *static_cast<const MmaOperand*>(lanes[lane]);
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; ++i) operand.c[i] += product[g + (i >= 2 ? 8 : 0)][2 * t + i % 2];
  }
}

struct MatrixOperand {
  uint32_t* r;
  const std::byte* row;
};

void LoadMatrices(void* const* lanes) {
  for (int lane = 0; lane < kWarp; ++lane) {
    const auto& to = *static_cast<const MatrixOperand*>(lanes[lane]);
    const int g = lane / 4, t = lane % 4;
    for (int matrix = 0; matrix < 4; ++matrix) {
      uint32_t pair = 0;
      for (int i = 0; i < 2; ++i) {
        const auto& from = *static_cast<const MatrixOperand*>(lanes[matrix * 8 + 2 * t + i]);
        uint16_t value;
        std::memcpy(&value, from.row + 2 * g, sizeof(value));
        pair |= static_cast<uint32_t>(value) << (16 * i);
      }
      to.r[matrix] = pair;
    }
  }
}

}  // namespace

void MmaBf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  MmaOperand operand{c, a, b};
  emulator::Collective("mma.m16n8k16", &operand, ComputeMma);
}

void LoadMatrixTransposed(uint32_t (&r)[4], const std::byte* row) {
  MatrixOperand operand{r, row};
  emulator::Collective("ldmatrix.x4.trans", &operand, LoadMatrices);
}

}  // namespace millrace::cuda
