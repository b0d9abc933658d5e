/* In the place of ops/kernel_table.c: the same tables, but one slot can be a kernel that does nothing. A case must fail
 * then, since results begin as NaN. */
#include "core/kernels.h"
#include "harness.h"

#define fnn_kernel_table_f32 built_table_f32
#define fnn_kernel_table_f64 built_table_f64
#include "ops/kernel_table.c"
#undef fnn_kernel_table_f32
#undef fnn_kernel_table_f64

static void do_nothing(void) {}

const FNN_TYPED(fnn_kernels) * FNN_TYPED(fnn_kernel_table)(fnn_isa isa) {
    static FNN_TYPED(fnn_kernels) changed;
    static int made_for = -1;
    const FNN_TYPED(fnn_kernels) *table = FNN_TYPED(built_table)(isa);
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
