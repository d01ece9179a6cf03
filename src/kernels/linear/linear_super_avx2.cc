// AVX2 tiles of the types with blocks of 256 values.
#include "kernels/linear/int8_super_avx2.h"

namespace millrace::kernels {

const TileKernel kTileQ2_KAvx2 = MakeSuperKernel<FormatQ2_K<Ymm>>();
const TileKernel kTileQ3_KAvx2 = MakeExpandingSuperKernel<FormatQ3_K<Ymm>>();
const TileKernel kTileQ4_KAvx2 = MakeSuperKernel<FormatQ4_K<Ymm>>();
const TileKernel kTileQ5_KAvx2 = MakeSuperKernel<FormatQ5_K<Ymm>>();
const TileKernel kTileQ6_KAvx2 = MakeExpandingSuperKernel<FormatQ6_K<Ymm>>();
const TileKernel kTileIQ4_XSAvx2 = MakeExpandingSignsSuperKernel<FormatIQ4_XS<Ymm>>();

}  // namespace millrace::kernels
