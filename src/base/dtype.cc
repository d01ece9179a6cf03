#include "base/dtype.h"

#include <strings.h>

#include <array>
#include <string>

#include "base/check.h"

namespace millrace {
namespace {

constexpr std::array<DTypeInfo, static_cast<size_t>(DType::kCount)> kInfo = {{
    {"F32", 1, 4},      {"F16", 1, 2},      {"BF16", 1, 2},     {"F8_E4M3", 1, 1},    {"I8", 1, 1},
    {"I32", 1, 4},      {"I64", 1, 8},      {"Q4_0", 32, 18},   {"Q4_1", 32, 20},     {"Q5_0", 32, 22},
    {"Q5_1", 32, 24},   {"Q8_0", 32, 34},   {"Q2_K", 256, 84},  {"Q3_K", 256, 110},   {"Q4_K", 256, 144},
    {"Q5_K", 256, 176}, {"Q6_K", 256, 210}, {"IQ4_NL", 32, 18}, {"IQ4_XS", 256, 136}, {"MXFP4", 32, 17},
}};

}  // namespace

const DTypeInfo& GetDTypeInfo(DType type) {
  CHECK(type < DType::kCount);
  return kInfo[static_cast<size_t>(type)];
}

std::optional<DType> ParseDType(std::string_view name) {
  const std::string text(name);
  for (size_t i = 0; i < kInfo.size(); ++i) {
    if (strcasecmp(kInfo[i].name, text.c_str()) == 0) return static_cast<DType>(i);
  }
  return std::nullopt;
}

int64_t RowBytes(DType type, int64_t elems) {
  const DTypeInfo& info = GetDTypeInfo(type);
  CHECK(elems % info.block_elems == 0, "{} values are not whole {} blocks", elems, info.name);
  return elems / info.block_elems * info.block_bytes;
}

}  // namespace millrace
