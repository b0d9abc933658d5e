#include "core/isa.h"

#include <stdatomic.h>

static atomic_int selected = FNN_BASELINE;

int fnn_isa_is_built(fnn_isa isa) {
#define X(NAME, name)                                                                                                  \
    if (isa == FNN_##NAME) {                                                                                           \
        return 1;                                                                                                      \
    }
    FNN_EACH_ISA(X)
#undef X
    return 0;
}

fnn_status fnn_isa_select(fnn_isa isa) {
    atomic_store_explicit(&selected, (int)isa, memory_order_relaxed);
    return FNN_OK;
}

fnn_isa fnn_isa_selected(void) { return (fnn_isa)atomic_load_explicit(&selected, memory_order_relaxed); }
