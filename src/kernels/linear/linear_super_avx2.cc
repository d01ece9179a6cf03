// AVX2 tiles of the types with blocks of 256 values.
#include "kernels/linear/int8_tile_avx2.h"

namespace millrace::kernels {

const TileKernel kTileQ2_KAvx2 = MakeInt8Kernel<FormatQ2_K<Ymm>>();
const TileKernel kTileQ3_KAvx2 = MakeInt8Kernel<FormatQ3_K<Ymm>>();
const TileKernel kTileQ4_KAvx2 = MakeInt8Kernel<FormatQ4_K<Ymm>>();
const TileKernel kTileQ5_KAvx2 = MakeInt8Kernel<FormatQ5_K<Ymm>>();
const TileKernel kTileQ6_KAvx2 = MakeInt8Kernel<FormatQ6_K<Ymm>>();
const TileKernel kTileIQ4_XSAvx2 = MakeInt8Kernel<FormatIQ4_XS<Ymm>>();

}  // namespace millrace::kernels
