/* What every file in ops/ includes. */
#ifndef FNN_OPS_OP_H
#define FNN_OPS_OP_H

#include "core/caches.h"
#include "core/kernels.h"
#include "core/parallel.h"
#include "core/real.h"
#include "fnn.h"

/* OP(relu_forward) is fnn_relu_forward_f32 or _f64. */
#define OP_PASTE(name) FNN_TYPED(fnn_##name)
#define OP(name) OP_PASTE(name)

#endif
