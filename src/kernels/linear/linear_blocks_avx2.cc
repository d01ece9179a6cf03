// AVX2 tiles of the types with a scale for every 32 values.
#include "kernels/linear/int8_signs_avx2.h"

namespace millrace::kernels {

const TileKernel kTileQ4_0Avx2 = MakeInt8Kernel<FormatQ4_0<Ymm>>();
const TileKernel kTileQ4_1Avx2 = MakeInt8Kernel<FormatQ4_1<Ymm>>();
const TileKernel kTileQ5_0Avx2 = MakeInt8Kernel<FormatQ5_0<Ymm>>();
const TileKernel kTileQ5_1Avx2 = MakeInt8Kernel<FormatQ5_1<Ymm>>();
const TileKernel kTileQ8_0Avx2 = MakeSignsKernel<FormatQ8_0<Ymm>>();
const TileKernel kTileIQ4_NLAvx2 = MakeExpandingSignsKernel<FormatIQ4_NL<Ymm>>();
const TileKernel kTileMXFP4Avx2 = MakeInt8Kernel<FormatMXFP4<Ymm>>();

}  // namespace millrace::kernels
