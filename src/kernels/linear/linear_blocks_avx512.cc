// AVX-512 tiles of the types with a scale for every 32 values.
#include "kernels/linear/int8_tile_avx512.h"

namespace millrace::kernels {

const TileKernel kTileQ4_0Avx512 = MakeInt8Kernel<FormatQ4_0<Zmm>>();
const TileKernel kTileQ4_1Avx512 = MakeInt8Kernel<FormatQ4_1<Zmm>>();
const TileKernel kTileQ5_0Avx512 = MakeInt8Kernel<FormatQ5_0<Zmm>>();
const TileKernel kTileQ5_1Avx512 = MakeInt8Kernel<FormatQ5_1<Zmm>>();
const TileKernel kTileQ8_0Avx512 = MakeInt8Kernel<FormatQ8_0<Zmm>>();
const TileKernel kTileIQ4_NLAvx512 = MakeInt8Kernel<FormatIQ4_NL<Zmm>>();
const TileKernel kTileMXFP4Avx512 = MakeInt8Kernel<FormatMXFP4<Zmm>>();

}  // namespace millrace::kernels
