// AVX-512 tiles of the types with blocks of 256 values.
#include "kernels/linear/int8_super_avx512.h"

namespace millrace::kernels {

const TileKernel kTileQ2_KAvx512 = MakeExpandingKernel<FormatQ2_K<Zmm>>();
const TileKernel kTileQ3_KAvx512 = MakeExpandingKernel<FormatQ3_K<Zmm>>();
const TileKernel kTileQ4_KAvx512 = MakeExpandingKernel<FormatQ4_K<Zmm>>();
const TileKernel kTileQ5_KAvx512 = MakeExpandingKernel<FormatQ5_K<Zmm>>();
const TileKernel kTileQ6_KAvx512 = MakeExpandingKernel<FormatQ6_K<Zmm>>();
const TileKernel kTileIQ4_XSAvx512 = MakeSuperKernel<FormatIQ4_XS<Zmm>>();

}  // namespace millrace::kernels
