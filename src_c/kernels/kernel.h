/* What every file in kernels/ includes: this translation unit's name suffix, and its vectors. */
#ifndef FNN_KERNELS_KERNEL_H
#define FNN_KERNELS_KERNEL_H

#include "core/kernels.h"
#include "kernels/vector.h"

/* KERNEL(relu_forward) is fnn_relu_forward_f32__avx2, for example: the dtype, then the ISA last. */
#define KERNEL_PASTE2(name, isa) name##__##isa
#define KERNEL_PASTE(name, isa) KERNEL_PASTE2(name, isa)
#define KERNEL(name) KERNEL_PASTE(FNN_TYPED(fnn_##name), FNN_ISA)

/* Hidden, so that a slot without a kernel fails when the module is linked. */
#pragma GCC visibility push(hidden)
#define FNN_SLOT(name, parameters) void KERNEL(name) parameters;
#include "kernels/slots.h"
#undef FNN_SLOT
#pragma GCC visibility pop

#endif
