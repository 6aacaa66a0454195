// log(1 + S) for 0 ≤ S < 2^64, without branches, so that loops over it vectorise, and with the same
// bits on every level and system. With 1 + S = 2^k·(1 + f), √½ ≤ 1 + f < √2, s = f/(2 + f) and z =
// s²,
//     log(1 + f) = f − f²/2 + s·(f²/2 + z·P(z)),   P(z) = 2/3 + 2/5·z + 2/7·z² + …
// (the series of atanh; W. J. Cody and W. Waite, "Software Manual for the Elementary Functions",
// 1980).
#pragma once
#include "sum.h"

namespace softmaxloss::LEVEL {

// Printed by tools/polynomials.py.
constexpr double log1p_p[] = {0x1.5555555555592p-1, 0x1.999999997fcecp-2, 0x1.24924941fd3e2p-2,
                              0x1.c71c51fedc980p-3, 0x1.7466413195673p-3, 0x1.39a17c7ea80ccp-3,
                              0x1.2f07f5ea1e515p-3};

// `inverse` is 1/(1 + S).
INLINE double log1p(double S, double inverse) {
    constexpr std::uint64_t one = 0x3ff0000000000000, sqrt_half = 0x3fe6a09e00000000;
    const double u = 1 + S;
    const std::uint64_t above = bits<std::uint64_t>(u) + (one - sqrt_half);
    // To double by its bits, which works below 2^52: AVX2 does not convert 64-bit integers.
    const double k = bits<double>((above >> 52) | 0x4330000000000000) - (0x1p52 + 1023);
    const double mantissa = bits<double>((above & 0x000fffffffffffff) + sqrt_half);
    // The rounding error of 1 + S. For k = 0, f is S itself and exact.
    const double lost = S < 1 ? S - (u - 1) : 1 - (u - S);
    const double f = k == 0 ? S : mantissa - 1;
    const double correction = k == 0 ? 0 : lost * inverse;

    const double s = f / (2 + f), z = s * s, half_square = 0.5 * f * f;
    double p = log1p_p[6];
#pragma GCC unroll 8
    for (int i = 5; i >= 0; --i)
        p = fma(p, z, log1p_p[i]);
    const double small = fma(s, fma(z, p, half_square), fma(k, Exp<double>::ln2_lo, correction));
    return fma(k, Exp<double>::ln2_hi, f - (half_square - small));
}
INLINE double log1p(DoubleDouble S, DoubleDouble inverse) {
    return log1p(S.hi, inverse.hi) + S.lo * inverse.hi;
}

} // namespace softmaxloss::LEVEL
