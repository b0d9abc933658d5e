# Binds src_c/ops/softmax.c.
