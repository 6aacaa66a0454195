// Softcap: u = s·tanh(z/s), and its derivative, number by number. With e = exp(−2·|z/s|),
//     tanh|z/s| = (1 − e)/(1 + e),   ∂u/∂z = 1 − tanh² = 4e/(1 + e)²
// where 1 − e is formed as −expm1, and no small derivative from a tanh close to 1.
#pragma once
#include "call.h"
#include "exp.h"

namespace softmaxloss::LEVEL {

// e·2^lift, which is never subnormal, and e − 1.
template <class Real> struct Decay {
    Real lifted, minus_one;
};

// A NaN stays one: it is in g, a factor of both.
template <class Real> INLINE Decay<Real> decay(Real z, Real cap) {
    using E = Exp<Real>;
    Real t = -2 * (z < 0 ? -z : z) / cap;
    t = t < -E::reach ? -E::reach : t;
    const auto [rounded, g] = reduce<Real>(t, E::round + E::lift);
    const Real lifted = scale<Real>(1, rounded);
    const Real power = lifted * power_of_two<Real>(-E::lift);
    return {fma(lifted, g, lifted), fma(power, g, power - 1)};
}

// Calls compute(z, grad, out) for numbers in copies, which no loop overwrites before it reads them.
template <class Real, class Compute>
INLINE void in_copies(const Softcap &call, std::int64_t begin, std::int64_t end, Compute compute) {
    constexpr std::int64_t most = 256;
    const Real *const logits = static_cast<const Real *>(call.logits);
    const Real *const grad = static_cast<const Real *>(call.grad);
    Real *const to = static_cast<Real *>(call.out);
    Real z[most] = {}, g[most] = {}, out[most];
    for (std::int64_t i = begin; i < end; i += most) {
        const std::size_t bytes = std::size_t(end - i < most ? end - i : most) * sizeof(Real);
        std::memcpy(z, logits + i, bytes);
        if (grad)
            std::memcpy(g, grad + i, bytes);
        for (int j = 0; j < most; ++j)
            out[j] = compute(z[j], g[j]);
        std::memcpy(to + i, out, bytes);
    }
}

// u for the numbers [begin, end).
template <class Real> void softcap(const Softcap &call, std::int64_t begin, std::int64_t end) {
    const Real cap = Real(call.cap);
    in_copies<Real>(call, begin, end, [=](Real z, Real) INLINE_LAMBDA {
        const Real minus_one = decay(z, cap).minus_one, u = cap * (minus_one / (2 + minus_one));
        return z < 0 ? u : -u;
    });
}

// The gradient with respect to u times ∂u/∂z. An entry of 0 stays: where a row does not count, the
// derivative may be NaN.
template <class Real>
void softcap_gradient(const Softcap &call, std::int64_t begin, std::int64_t end) {
    const Real cap = Real(call.cap), unlift = power_of_two<Real>(-Exp<Real>::lift);
    in_copies<Real>(call, begin, end, [=](Real z, Real grad) INLINE_LAMBDA {
        const auto [lifted, minus_one] = decay(z, cap);
        const Real d = 2 + minus_one, made = grad * (4 * lifted / (d * d)) * unlift;
        return grad == 0 ? grad : made;
    });
}

} // namespace softmaxloss::LEVEL
