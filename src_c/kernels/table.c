/* This ISA's dispatch table. */
#include "kernels/gemm_shape.h"
#include "kernels/kernel.h"

#define TABLE_PASTE2(isa) FNN_TYPED(fnn_kernel_table_##isa)
#define TABLE_PASTE(isa) TABLE_PASTE2(isa)

const FNN_TYPED(fnn_kernels) * TABLE_PASTE(FNN_ISA)(void);

const FNN_TYPED(fnn_kernels) * TABLE_PASTE(FNN_ISA)(void) {
    static const FNN_TYPED(fnn_kernels) table = {
        .panel_columns = GEMM_MAX_VECTORS * V_LANES,
        .lanes = V_LANES,
#define FNN_SLOT(name, parameters) .name = KERNEL(name),
#include "kernels/slots.h"
#undef FNN_SLOT
    };
    return &table;
}
