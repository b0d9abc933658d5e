/* The tables of all ISAs that were built, for this file's dtype. */
#include "core/isa.h"
#include "core/kernels.h"

/* Hidden, so that a missing table fails when the module is linked. */
#pragma GCC visibility push(hidden)
#define X(NAME, name) const FNN_TYPED(fnn_kernels) * FNN_TYPED(fnn_kernel_table_##name)(void);
FNN_EACH_ISA(X)
#undef X
#pragma GCC visibility pop

const FNN_TYPED(fnn_kernels) * FNN_TYPED(fnn_kernel_table)(fnn_isa isa) {
    switch (isa) {
#define X(NAME, name)                                                                                                  \
    case FNN_##NAME:                                                                                                   \
        return FNN_TYPED(fnn_kernel_table_##name)();
        FNN_EACH_ISA(X)
#undef X
    default:
        return FNN_TYPED(fnn_kernel_table_baseline)();
    }
}
