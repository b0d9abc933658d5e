/* In the place of ops/kernel_table.c: the same tables, but one slot can be a kernel that does nothing. A case must fail
 * then, since results begin as NaN. */
#include "core/isa.h"
#include "core/kernels.h"
#include "harness.h"

#define X(NAME, name) const FNN_TYPED(fnn_kernels) * FNN_TYPED(fnn_kernel_table_##name)(void);
FNN_EACH_ISA(X)
#undef X

static void do_nothing(void) {}

static const FNN_TYPED(fnn_kernels) * table_of(fnn_isa isa) {
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

const FNN_TYPED(fnn_kernels) * FNN_TYPED(fnn_kernel_table)(fnn_isa isa) {
    static FNN_TYPED(fnn_kernels) changed;
    static int made_for = -1;
    const FNN_TYPED(fnn_kernels) *table = table_of(isa);
    if (mutated_slot < 0) {
        return table;
    }
    if (made_for != mutated_slot) { /* mutants run on one instruction set */
        made_for = mutated_slot;
        changed = *table;
        void (**slot)(void) = (void (**)(void))&changed.fma_peak;
        slot[mutated_slot] = do_nothing;
    }
    return &changed;
}
